// The devices: which are silent, and what is wrong with which.

import { inState, reasons } from "./device.js";
import { byId, coalesced, el, fill } from "./dom.js";
import { state } from "./post.js";
import { ago, bytes, figure, t } from "./words.js";

const SHOWN = 100;
const FEW = 12; // So many are found by looking.
const ORDER = ["silent", "offline", "degraded", "unknown", "online"];

export class Devices {
  #post;
  #page;
  #shown = SHOWN;
  #wanted = "";
  #items = new Map();
  #draw = coalesced(() => this.#drawNow());

  /** `page` shows one device. */
  constructor(post, page) {
    this.#post = post;
    this.#page = page;
    post.on("devices", this.#draw);
    setInterval(this.#draw, 10_000);
  }

  build() {
    this.#items.clear();
    byId("devices").replaceChildren(
      el("div", { id: "device" }),
      el("div", { id: "all-devices" },
        el("input", {
          id: "find-device", type: "search", "aria-label": t("find_device"),
          placeholder: t("find_device"), value: this.#wanted, oninput: (event) => {
            this.#wanted = event.target.value;
            this.#draw();
          },
        }),
        el("ul", { id: "device-list", class: "cards" }),
        el("button", { id: "more-devices", type: "button", onclick: () => {
          this.#shown += SHOWN;
          this.#draw();
        } }, t("more"))));
    this.#draw();
  }

  /** Show one device alone; null: the list. */
  show(deviceId) {
    byId("all-devices").hidden = deviceId !== null;
    this.#page.show(deviceId);
    this.#draw();
  }

  /** Stop what runs only while somebody looks. */
  leave() {
    this.#page.leave();
  }

  #drawNow() {
    const list = byId("device-list");
    if (!list || byId("devices").hidden || byId("all-devices").hidden) return;
    const part = this.#wanted.toLowerCase();
    const order = [...this.#post.devices.values()]
      .filter((device) => device.device_id.toLowerCase().includes(part))
      .map((device) => [ORDER.indexOf(state(device)), device.device_id, device])
      .sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
    byId("find-device").hidden = this.#post.devices.size <= FEW && !part;
    const kept = new Map();
    let place = list.firstChild;
    for (const [, id, device] of order.slice(0, this.#shown)) {
      const item = this.#items.get(id) ?? new Item(id);
      kept.set(id, item);
      item.show(device);
      if (item.node === place) place = place.nextSibling;
      else list.insertBefore(item.node, place);
    }
    for (const [id, item] of this.#items) if (!kept.has(id)) item.node.remove();
    this.#items = kept;
    byId("more-devices").hidden = order.length <= this.#shown;
  }
}

class Item {
  #state = el("div");
  #device = null;
  #said = "";

  constructor(id) {
    this.node = el("li", {}, el("h2", { class: "h3" },
      el("a", { href: `#/device/${encodeURIComponent(id)}` }, id)), this.#state);
  }

  show(device) {
    const heard = device.last_heard ? ago(device.last_heard) : "–";
    const said = `${state(device)} ${heard}`;
    if (device === this.#device && said === this.#said) return;
    [this.#device, this.#said] = [device, said];
    this.node.className = `state-${state(device)}`;
    const remarks = [
      device.clock_synced === false ? t("clock_unsynced") : null,
      device.outbox_depth > 0 ? `${t("outbox")}: ${figure(device.outbox_depth)}` : null,
    ].filter(Boolean);
    const figures = [
      [device.level_dbfs, (value) => figure(value, "dBFS")],
      [device.temperature_c, (value) => figure(value, "°C")],
      [device.disk_free_bytes, bytes],
    ].filter(([value]) => typeof value === "number").map(([value, unit]) => unit(value));
    fill(this.#state,
      el("p", { class: "state" }, `${inState(device)} · ${heard}`), reasons(device),
      remarks.length ? el("p", { class: "remark" }, remarks.join(" · ")) : null,
      figures.length ? el("p", { class: "quiet" }, figures.join(" · ")) : null);
  }
}
