// The page: what is shown, and what a key, a button or a new alert does.

import { Alert } from "./alert.js";
import { Alerts, inWords } from "./alerts.js";
import { DevicePage } from "./device.js";
import { Devices } from "./devices.js";
import { byId, coalesced, el, fill, remember, remembered, say } from "./dom.js";
import { ForestMap } from "./map.js";
import { Post } from "./post.js";
import { className, LANGUAGES, t, useLanguage } from "./words.js";

const THEMES = ["auto", "light", "dark"];
const TABS = ["alerts", "map", "devices"];
const URGENT = new Set(["chainsaw", "engine"]);
const WIDE = window.matchMedia("(min-width: 60rem)");
const KEYS = ["j", "k", "t", "f", "u", "m", "d", "a", "?"];

const post = new Post();
const go = (hash) => {
  location.hash = hash;
};
const open = (eventId) => go(`#/alert/${encodeURIComponent(eventId)}`);
const alerts = new Alerts(post, open);
const alert = new Alert(post, tell, () => go("#/alerts"));
const map = new ForestMap(post, alerts);
const devices = new Devices(post, new DevicePage(post));
let audio = null;

function tell(text) {
  const node = byId("said");
  node.textContent = text;
  node.classList.add("shown");
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => node.classList.remove("shown"), 4000);
}

/** Show what the address says: #/alerts, #/alert/ID, #/map, #/map/ID, #/devices, #/device/ID. */
function route() {
  const [, view = "alerts", id] = location.hash.split("/");
  const tab = { alert: "alerts", device: "devices" }[view] ?? (TABS.includes(view) ? view : "alerts");
  document.body.dataset.view = view;
  // On a wide screen the list stays beside what is shown, and the map beside the list alone.
  const beside = WIDE.matches && view === "alerts" ? "map" : tab;
  for (const name of TABS) {
    byId(name).hidden = name !== beside && name !== "alerts";
    const link = byId(`tab-${name}`);
    if (name === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("detail").hidden = view !== "alert";
  const wanted = id === undefined ? null : decodeURIComponent(id);
  alerts.select(view === "alert" ? wanted : null);
  if (view !== "device") devices.leave();
  if (!post.about?.role) return;
  if (view === "alert" && wanted) alert.show(wanted).then(() => byId("title")?.focus());
  else alert.leave();
  if (beside === "map") {
    map.build();
    map.show(view === "map" ? wanted : null);
  }
  if (tab === "devices") {
    devices.build();
    devices.show(view === "device" ? wanted : null);
  }
}

function build() {
  byId("tabs").setAttribute("aria-label", t("views"));
  byId("tabs").replaceChildren(...TABS.map((name) =>
    el("a", { id: `tab-${name}`, href: `#/${name}` }, t(`tab.${name}`))));
  byId("menu").setAttribute("aria-label", t("settings"));
  byId("settings").setAttribute("aria-label", t("settings"));
  byId("settings").replaceChildren(
    el("label", {}, t("language"), el("select", { id: "language", onchange: changeLanguage },
      ...Object.entries(LANGUAGES).map(([tag, name]) => el("option",
        { value: tag, lang: tag, selected: tag === document.documentElement.lang }, name)))),
    el("button", { id: "theme", type: "button", onclick: changeTheme }),
    el("h2", { class: "keys" }, t("keys")),
    el("dl", { class: "keys" }, ...KEYS.flatMap((key) =>
      [el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(`key.${key}`))])),
    el("p", { class: "quiet" }, t("legend")),
    el("button", { type: "button", onclick: () => byId("settings").close() }, t("close")));
  byId("login").replaceChildren(el("form", { onsubmit: login },
    el("h2", {}, t("log_in")),
    el("label", {}, t("name"), el("input", { name: "name", autocomplete: "username", required: true })),
    el("label", {}, t("password"), el("input", {
      name: "password", type: "password", autocomplete: "current-password", required: true,
    })),
    el("p", { id: "refused", role: "alert" }),
    el("button", { type: "submit" }, t("log_in"))));
  showTheme();
  showSound();
  showSession();
  showConnection();
  showSilent();
  alerts.build();
  alert.build();
}

async function login(submitted) {
  submitted.preventDefault();
  const { name, password } = Object.fromEntries(new FormData(submitted.target));
  try {
    await post.login(name, password);
    byId("login").close();
    submitted.target.reset();
  } catch (error) {
    say(byId("refused"), error.message);
  }
}

function showSession() {
  const { about } = post;
  if (!about) return;
  say(byId("post"), about.post || "rainwatch");
  document.title = about.post ? `${about.post} – rainwatch` : "rainwatch";
  const button = byId("session");
  button.hidden = !about.passwords;
  say(button, about.name ? t("log_out", { name: about.name }) : t("log_in"));
  if (about.role === null && !byId("login").open) byId("login").showModal();
}

/** Say on the tab itself how many devices are silent: nobody looks for what says nothing. */
function showSilent() {
  const silent = [...post.devices.values()].filter((device) => device.silent).length;
  fill(byId("tab-devices"), t("tab.devices"),
    silent ? el("span", { class: "badge" }, `✕${silent}`) : null);
  byId("tab-devices").setAttribute("aria-label",
    silent ? t("devices_silent", { count: silent }) : t("tab.devices"));
}

function showConnection() {
  const node = byId("connection");
  const broker = post.about?.broker;
  say(node, !post.connected ? t("disconnected") : broker ? t("no_broker", { reason: broker })
    : t("connected"));
  node.className = post.connected && !broker ? "fine" : "bad";
}

function showTheme() {
  const theme = remembered("theme", "auto");
  document.documentElement.dataset.theme = theme;
  say(byId("theme"), t(`theme.${theme}`));
}

function changeTheme() {
  remember("theme", THEMES[(THEMES.indexOf(remembered("theme", "auto")) + 1) % THEMES.length]);
  showTheme();
}

async function changeLanguage(event) {
  await useLanguage(event.target.value);
  build();
  route();
}

function showSound() {
  byId("sound").setAttribute("aria-pressed", String(audio !== null));
  say(byId("sound"), t(audio ? "sound_on" : "sound_off"));
}

/** Two rising tones: heard over wind and talk, unlike any machine. */
function chime() {
  if (!audio) return;
  for (const [at, hz] of [[0, 880], [0.18, 1320]]) {
    const tone = audio.createOscillator();
    const gain = audio.createGain();
    tone.frequency.value = hz;
    gain.gain.setValueAtTime(0.3, audio.currentTime + at);
    gain.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + at + 0.4);
    tone.connect(gain).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.4);
  }
}

const rung = new Set();

/** Tell of what is new, urgent and happening now; once an event, and not of a backlog. */
function ring(events) {
  const now = events.filter((event) => !rung.has(event.event_id) && event.phase !== "offset" &&
    !event.historical && URGENT.has(event.class) && !event.verdict);
  if (!now.length) return;
  for (const event of now) rung.add(event.event_id);
  if (rung.size > 5000) rung.clear();
  chime();
  if (window.isSecureContext && window.Notification?.permission === "granted" && document.hidden) {
    const shown = new Notification(className(now[0].class), { body: inWords(now[0]), tag: "rainwatch" });
    shown.onclick = () => {
      window.focus();
      open(now[0].event_id);
    };
  }
}

async function toggleSound() {
  if (audio) {
    audio.close();
    audio = null;
  } else {
    audio = new AudioContext();
    chime();
    if (window.isSecureContext && window.Notification?.permission === "default") {
      await Notification.requestPermission();
    }
  }
  showSound();
}

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input, select, textarea, dialog[open]")) return;
  const act = {
    j: () => alerts.move(1), k: () => alerts.move(-1),
    t: () => alert.judge("true"), f: () => alert.judge("false"), u: () => alert.judge("unsure"),
    a: () => go("#/alerts"), m: () => go("#/map"), d: () => go("#/devices"),
    Escape: () => go("#/alerts"), "?": () => byId("settings").showModal(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function wire() {
  window.addEventListener("hashchange", route);
  document.addEventListener("keydown", press);
  byId("menu").addEventListener("click", () => byId("settings").showModal());
  byId("sound").addEventListener("click", toggleSound);
  WIDE.addEventListener("change", route);
  byId("session").addEventListener("click", () =>
    (post.about?.name ? post.logout() : byId("login").showModal()));
  // Without a login there is nothing to see, so the dialog stays.
  byId("login").addEventListener("cancel", (event) => post.about?.role ?? event.preventDefault());
  let role;
  post.on("about", () => {
    showSession();
    if (post.about.role === role) return;
    role = post.about.role;
    if (role === null) {
      alerts.events.clear();
      alert.leave();
    }
    build();
    route();
  });
  post.on("connection", showConnection);
  post.on("devices", coalesced(showSilent));
  post.on("reset", () => post.readDevices());
  post.on("events", ring);
}

async function start() {
  await useLanguage();
  build();
  wire();
  try {
    await post.start();
  } catch (error) {
    tell(error.message);
    setTimeout(() => location.reload(), 5000);
  }
}

start();
