// The devices: which are silent, how each is, and a week of its health.

import { byId, coalesced, el, fill, svg } from "./dom.js";
import { Listen } from "./listen.js";
import { state } from "./map.js";
import { ask } from "./post.js";
import { ago, bytes, className, figure, lasting, t } from "./words.js";

const SHOWN = 200;
const WEEK_MS = 7 * 24 * 3600 * 1000;
const ORDER = ["silent", "offline", "degraded", "unknown", "online"];
const CHARTS = [
  ["messages", "chart.messages", (value) => figure(value)],
  ["level_dbfs", "level", (value) => figure(value, "dBFS")],
  ["temperature_c", "temperature", (value) => figure(value, "°C")],
  ["disk_free_bytes", "disk", bytes],
  ["outbox_depth", "outbox", (value) => figure(value)],
  ["real_time_factor", "load", (value) => figure(value)],
];

export class Devices {
  #post;
  #said;
  #shown = SHOWN;
  #open = null;
  #listen = null;
  #draw = coalesced(() => this.#drawNow());

  constructor(post, said) {
    this.#post = post;
    this.#said = said;
    post.on("devices", this.#draw);
    setInterval(this.#draw, 10_000);
  }

  build() {
    byId("devices").replaceChildren(
      el("div", { id: "device" }), el("ul", { id: "device-list", class: "cards" }),
      el("button", { id: "more-devices", type: "button", onclick: () => {
        this.#shown += SHOWN;
        this.#draw();
      } }, t("more")));
    this.#draw();
    if (this.#open) this.show(this.#open);
  }

  /** Show one device with its week; null: the list alone. */
  async show(deviceId) {
    this.#listen?.stop();
    this.#listen = null;
    this.#open = deviceId;
    const box = byId("device");
    box.replaceChildren();
    if (!deviceId) return;
    let device;
    try {
      device = await ask(`devices/${encodeURIComponent(deviceId)}`);
    } catch (error) {
      box.replaceChildren(el("p", {}, error.message));
      return;
    }
    if (this.#open !== deviceId) return;
    this.#listen = new Listen(deviceId, this.#post.about?.role === "ranger");
    const scores = Object.entries(device.top_scores ?? {});
    fill(box,
      el("a", { href: "#/devices", class: "button" }, `← ${t("back")}`),
      el("h2", { tabindex: "-1", id: "device-title" }, deviceId),
      card(device),
      scores.length ? el("p", {}, t("scores_now"), " ", scores.map(([label, score]) =>
        `${className(label)} ${figure(100 * score)} %`).join(" · ")) : null,
      el("p", { class: "quiet digest" }, device.model_digest ?? ""),
      el("h3", {}, t("week")),
      el("div", { class: "charts" }, ...CHARTS.map(([field, name, unit]) =>
        chart(device.week ?? [], field, t(name), unit))),
      this.#listen.node);
  }

  /** Stop what runs only while somebody looks. */
  leave() {
    this.#listen?.stop();
  }

  #drawNow() {
    const list = byId("device-list");
    if (!list || byId("devices").hidden) return;
    const order = [...this.#post.devices.values()].sort((a, b) =>
      ORDER.indexOf(state(a)) - ORDER.indexOf(state(b)) ||
      (a.device_id < b.device_id ? -1 : 1));
    list.replaceChildren(...order.slice(0, this.#shown).map((device) =>
      el("li", {}, el("h2", { class: "h3" },
        el("a", { href: `#/device/${encodeURIComponent(device.device_id)}` }, device.device_id)),
      card(device))));
    byId("more-devices").hidden = order.length <= this.#shown;
  }
}

function card(device) {
  const kind = state(device);
  const facts = [
    [t("last_heard"), device.last_heard ? ago(device.last_heard) : "–"],
    [t("last_alert"), device.last_event ? ago(device.last_event) : "–"],
    [t("level"), figure(device.level_dbfs, "dBFS")],
    [t("temperature"), figure(device.temperature_c, "°C")],
    [t("disk"), bytes(device.disk_free_bytes)],
    [t("outbox"), figure(device.outbox_depth)],
    [t("clock"), device.clock_synced === false ? t("clock_unsynced")
      : device.clock_synced ? t("clock_synced") : "–"],
    [t("uptime"), typeof device.uptime_s === "number" ? lasting(device.uptime_s) : "–"],
    [t("model"), device.model ?? "–"], [t("version"), device.version ?? "–"],
  ];
  return el("div", { class: `card state-${kind}` },
    el("p", { class: "state" }, t(`state.${kind}`),
      kind === "silent" && device.state !== "unknown" ? ` (${t(`state.${device.state}`)})` : ""),
    device.reasons?.length ? el("ul", { class: "reasons" },
      ...device.reasons.map((reason) => el("li", {}, reason))) : null,
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

/** One figure over the week: a line with its lowest and highest value said. */
function chart(week, field, name, unit) {
  const [width, height] = [240, 48];
  const from = Date.now() - WEEK_MS;
  const known = week.filter((hour) => typeof hour[field] === "number");
  const values = known.map((hour) => hour[field]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  let way = "";
  let last = -Infinity;
  for (const hour of known) {
    const at = Date.parse(hour.at);
    const x = ((at - from) / WEEK_MS) * width;
    const y = height - 4 - ((hour[field] - low) / (high - low || 1)) * (height - 8);
    // A gap of more than two hours is a gap in the line.
    way += `${at - last > 2 * 3600 * 1000 + 1 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}h.1`;
    last = at;
  }
  const said = values.length ? `${unit(low)} – ${unit(high)}` : "–";
  return el("figure", {}, el("figcaption", {}, name, el("b", {}, said)),
    svg("svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${said}`,
    },
    ...Array.from({ length: 6 }, (_, day) =>
      svg("path", { d: `M${((day + 1) * width) / 7} 0v${height}`, class: "day" })),
    svg("path", { d: way, class: "line" })));
}

