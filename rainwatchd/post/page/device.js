// One device: how it is, a week of its health, and its spectrum while somebody looks.

import { byId, el, fill, svg } from "./dom.js";
import { Listen } from "./listen.js";
import { ask, state } from "./post.js";
import { ago, bytes, className, figure, lasting, now, t } from "./words.js";

const WEEK_MS = 7 * 24 * 3600 * 1000;
const AGAIN_MS = 60_000;
const CHARTS = [
  ["messages", "chart.messages", (value) => figure(value)],
  ["level_dbfs", "level", (value) => figure(value, "dBFS")],
  ["temperature_c", "temperature", (value) => figure(value, "°C")],
  ["disk_free_bytes", "disk", bytes],
  ["outbox_depth", "outbox", (value) => figure(value)],
  ["real_time_factor", "load", (value) => figure(value)],
];

/** A device's state in words, with its sign from the style sheet. */
export function inState(device) {
  const kind = state(device);
  const told = kind === "silent" && device.state !== "unknown"
    ? ` (${t(`state.${device.state}`)})` : "";
  return `${t(`state.${kind}`)}${told}`;
}

/** What a device says is wrong. */
export const reasons = (device) => (device.reasons?.length
  ? el("ul", { class: "reasons" }, ...device.reasons.map((reason) => el("li", {}, reason))) : null);

export class DevicePage {
  #post;
  #id = null;
  #listen = null;

  constructor(post) {
    this.#post = post;
    post.on("devices", (devices) => {
      const mine = devices.find((device) => device.device_id === this.#id);
      if (mine) this.#state(mine);
    });
    setInterval(() => this.#id && !document.hidden && this.#read(this.#id), AGAIN_MS);
  }

  /** Show one device with its week; null: none. */
  async show(deviceId) {
    this.leave();
    this.#id = deviceId;
    byId("device").replaceChildren();
    if (!deviceId) return;
    this.#listen = new Listen(deviceId, this.#post.about?.role === "ranger");
    await this.#read(deviceId);
  }

  /** Stop what runs only while somebody looks. */
  leave() {
    this.#listen?.stop();
    this.#id = null;
  }

  async #read(deviceId) {
    let device;
    try {
      device = await ask(`devices/${encodeURIComponent(deviceId)}`);
    } catch (error) {
      if (this.#id === deviceId && !byId("device-title")) fill(byId("device"), el("p", {}, error.message));
      return;
    }
    if (this.#id !== deviceId) return;
    const placed = device.lat !== null && device.lon !== null;
    const scores = Object.entries(device.top_scores ?? {});
    const week = el("div", { class: "charts" }, ...CHARTS.map(([field, name, unit]) =>
      chart(device.week ?? [], field, t(name), unit)));
    if (byId("device-title")) {
      // The spectrum goes on, and who reads stays where they are.
      byId("device").querySelector(".charts").replaceWith(week);
    } else {
      fill(byId("device"),
        el("a", { href: "#/devices", class: "button" }, `← ${t("back")}`),
        el("h2", { tabindex: "-1", id: "device-title" }, deviceId),
        el("div", { id: "device-state" }),
        this.#listen.node,
        el("h3", {}, t("week")), week,
        scores.length ? el("p", {}, t("scores_now"), " ", scores.map(([label, score]) =>
          `${className(label)} ${figure(100 * score)}\u202f%`).join(" · ")) : null,
        el("p", { class: "hand-on" },
          placed ? el("a", { class: "button", href: `#/map/${encodeURIComponent(deviceId)}` },
            t("tab.map")) : null,
          placed ? el("a", { class: "button", href: `geo:${device.lat},${device.lon}` },
            t("open_map")) : null),
        el("p", { class: "quiet digest" }, device.model_digest ?? ""));
    }
    this.#state(device);
  }

  #state(device) {
    const box = byId("device-state");
    if (!box) return;
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
    box.className = `state-${state(device)}`;
    fill(box, el("p", { class: "state" }, inState(device)), reasons(device),
      el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
  }
}

/** One figure over the week: a line with its lowest and highest value said. */
function chart(week, field, name, unit) {
  const [width, height] = [240, 48];
  const from = now() - WEEK_MS;
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
  const said = !values.length ? "–" : low === high ? unit(low) : `${unit(low)} – ${unit(high)}`;
  return el("figure", {}, el("figcaption", {}, name, el("b", {}, said)),
    svg("svg", {
      viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `${name}: ${said}`,
    },
    ...Array.from({ length: 6 }, (_, day) =>
      svg("path", { d: `M${((day + 1) * width) / 7} 0v${height}`, class: "day" })),
    svg("path", { d: way, class: "line" })));
}

