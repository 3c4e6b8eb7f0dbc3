// The map: devices by state, alerts by class and age, without tiles and without the internet.

import { byId, coalesced, el, svg } from "./dom.js";
import { drawn, names, shapes } from "./geojson.js";
import { CELL, gathered, mark, RECENT_MS, written } from "./marks.js";
import { ask, state } from "./post.js";
import { figure, now, t } from "./words.js";

const EARTH_M = 111_320; // One degree of latitude.
const CLOSEST = 0.05; // Metres to a unit of the picture.
const FARTHEST = 20_000;
const MOST_RINGS = 300;
const MARGIN = 60;
const EDGE = 40; // Units of the picture that a mark with its alert needs from its middle.

/** Metres east and north of an origin; flat, which is right within a forest (equirectangular). */
class Ground {
  constructor(lat, lon) {
    this.lat = lat;
    this.lon = lon;
    this.shrink = Math.cos((lat * Math.PI) / 180);
  }

  at(lat, lon) {
    return [(lon - this.lon) * EARTH_M * this.shrink, -(lat - this.lat) * EARTH_M];
  }
}

export class ForestMap {
  #post;
  #alerts;
  #view = null; // Centre in metres and metres to a unit of the picture.
  #ground = null;
  #lines = null;
  #wanted = null;
  #svg;
  #aside;
  #width = 800;
  #height = 600;
  #draw = coalesced(() => this.#drawNow());

  constructor(post, alerts) {
    this.#post = post;
    this.#alerts = alerts;
    for (const name of ["devices", "events", "listed", "about"]) post.on(name, this.#draw);
    setInterval(this.#draw, 30_000);
  }

  build() {
    const zoom = (by) => () => this.#zoom(by, this.#width / 2, this.#height / 2);
    this.#svg = svg("svg", {
      role: "group", "aria-label": t("map"), class: "ground",
    });
    this.#aside = el("div", { class: "unplaced" });
    byId("map").replaceChildren(
      el("div", { class: "mapbox" }, this.#svg,
        el("div", { class: "zoom" },
          el("button", { type: "button", "aria-label": t("zoom_in"), onclick: zoom(0.5) }, "+"),
          el("button", { type: "button", "aria-label": t("zoom_out"), onclick: zoom(2) }, "−"),
          el("button", { type: "button", "aria-label": t("zoom_all"), onclick: () => {
            this.#view = this.#wanted = null;
            this.#draw();
          } }, "◻"))),
      this.#aside);
    this.#drag();
    // A unit of the picture is a pixel, so that names stay readable on a phone.
    new ResizeObserver(([{ contentRect }]) => {
      if (!contentRect.width) return;
      if (this.#width !== contentRect.width) this.#view = null;
      this.#width = contentRect.width;
      this.#height = contentRect.height;
      this.#draw();
    }).observe(this.#svg);
    this.#draw();
    if (this.#lines === null && this.#post.about?.map.geojson) this.#readLines();
  }

  async #readLines() {
    this.#lines = [];
    try {
      this.#lines = [...shapes(await ask("map/geojson"))];
    } catch (error) {
      this.#lines = [];
      this.#aside?.append(el("p", {}, t("no_geojson", { reason: error.message })));
    }
    this.#view = null;
    this.#draw();
  }

  /** Put one device into the middle; null: leave the view as it is. */
  show(deviceId) {
    this.#wanted = deviceId;
    if (deviceId) this.#view = null;
    this.#draw();
  }

  #drawNow() {
    if (!this.#svg || byId("map").hidden) return;
    const placed = [];
    const lost = [];
    for (const device of this.#post.devices.values()) {
      (device.lat === null || device.lon === null ? lost : placed).push(device);
    }
    if (!this.#view) this.#fit(placed);
    const parts = [];
    if (this.#ground) {
      const on = (lat, lon) => this.#on(lat, lon);
      parts.push(...this.#background(), ...drawn(this.#lines ?? [], on));
      const spots = this.#inView(placed);
      parts.push(...this.#rings(spots));
      const groups = gathered(spots, this.#corner());
      parts.push(...groups.map((group) => mark(group, () => this.#closer(group))));
      parts.push(...written([
        ...groups.filter(({ members }) => members.length === 1).reverse().map(({ x, y, members }) =>
          ({ x, y: y + 30, name: members[0].device.device_id, kind: "name" })),
        ...names(this.#lines ?? [], on, this.#width, this.#height).map((place) =>
          ({ ...place, kind: "name quiet" })),
      ]));
      parts.push(this.#scaleBar());
    } else {
      parts.push(svg("text", { x: this.#width / 2, y: this.#height / 2, class: "empty" }, t("no_positions")));
    }
    parts.push(svg("g", { class: "north", transform: `translate(${this.#width - 40} 50)` },
      svg("path", { d: "M0-28 10 8 0 0-10 8z" }), svg("text", { y: 24 }, t("north"))));
    const focused = document.activeElement?.getAttribute?.("data-device");
    this.#svg.replaceChildren(...parts);
    if (focused) {
      this.#svg.querySelector(`[data-device="${CSS.escape(focused)}"]`)?.focus();
    }
    this.#aside.replaceChildren(...(lost.length ? [
      el("h2", {}, t("without_position")),
      el("ul", {}, ...lost.slice(0, 200).map((device) =>
        el("li", { class: `state-${state(device)}` },
          el("a", { href: `#/device/${encodeURIComponent(device.device_id)}` }, device.device_id),
          ` ${t(`state.${state(device)}`)}`))),
    ] : []));
  }

  #fit(placed) {
    const points = [
      ...placed.map(({ lat, lon }) => [lat, lon]),
      ...(this.#lines ?? []).flatMap(({ points }) => points.map(([lon, lat]) => [lat, lon])),
    ];
    if (!points.length) {
      this.#ground = null;
      return;
    }
    const [south, north] = extent(points.map(([lat]) => lat));
    const [west, east] = extent(points.map(([, lon]) => lon));
    this.#ground = new Ground((south + north) / 2, (west + east) / 2);
    const around_m = 2.4 * (this.#post.about?.audible_m ?? 500);
    const [left, top] = this.#ground.at(north, west);
    const scale = Math.max((2 * -left + around_m) / (this.#width - 2 * EDGE),
      (2 * -top + around_m) / (this.#height - 2 * EDGE));
    this.#view = { x: 0, y: 0, scale };
    const wanted = placed.find((device) => device.device_id === this.#wanted);
    if (!wanted) return;
    [this.#view.x, this.#view.y] = this.#ground.at(wanted.lat, wanted.lon);
    this.#view.scale = (1.5 * around_m) / Math.min(this.#width, this.#height);
  }

  /** Where a place lies in the picture. */
  #on(lat, lon) {
    const [x, y] = this.#ground.at(lat, lon);
    const view = this.#view;
    return [this.#width / 2 + (x - view.x) / view.scale, this.#height / 2 + (y - view.y) / view.scale];
  }

  #background() {
    const picture = this.#post.about?.map.picture;
    if (!picture) return [];
    const [x, y] = this.#on(picture.north, picture.west);
    const [right, bottom] = this.#on(picture.south, picture.east);
    return [svg("image", {
      href: "map/picture", x, y, width: right - x, height: bottom - y,
      preserveAspectRatio: "none", class: "background",
    })];
  }

  /** Each device's newest alert of the last day. */
  #newest() {
    const newest = new Map();
    for (const event of this.#alerts.events.values()) {
      const known = newest.get(event.device_id);
      const recent = now() - Date.parse(event.at) < RECENT_MS;
      if (recent && (!known || known.at < event.at)) newest.set(event.device_id, event);
    }
    return newest;
  }

  /** The devices that are to be seen, with their alerts and places in the picture. */
  #inView(placed) {
    const newest = this.#newest();
    const spots = [];
    for (const device of placed) {
      const [x, y] = this.#on(device.lat, device.lon);
      if (x > -MARGIN && x < this.#width + MARGIN && y > -MARGIN && y < this.#height + MARGIN) {
        spots.push({ device, event: newest.get(device.device_id), x, y });
      }
    }
    return spots;
  }

  /** How far each hears; of very many, or smaller than a mark, it would only be a grey field. */
  #rings(spots) {
    const r = (this.#post.about?.audible_m ?? 0) / this.#view.scale;
    if (r < 4 || spots.length > MOST_RINGS) return [];
    return spots.map(({ device, x, y }) => svg("circle", {
      cx: x.toFixed(1), cy: y.toFixed(1), r: r.toFixed(1),
      class: device.device_id === this.#wanted ? "audible wanted" : "audible",
    }));
  }

  #corner() {
    const { x, y, scale } = this.#view;
    return [x / scale - this.#width / 2, y / scale - this.#height / 2];
  }

  /** Take several devices apart; the list has those that hang at one place. */
  #closer({ members, x, y }) {
    const spread = Math.max(...["x", "y"].map((axis) => {
      const [low, high] = extent(members.map((spot) => spot[axis]));
      return high - low;
    }));
    if (spread * this.#view.scale < CLOSEST) location.hash = "#/devices";
    else this.#zoom(Math.min(0.5, spread / (3 * CELL)), x, y);
  }

  #scaleBar() {
    const most_m = 200 * this.#view.scale;
    const power = 10 ** Math.floor(Math.log10(most_m));
    const length_m = [5, 2, 1].map((n) => n * power).find((m) => m <= most_m);
    const width = length_m / this.#view.scale;
    const text = length_m >= 1000 ? figure(length_m / 1000, "km") : figure(length_m, "m");
    return svg("g", { class: "scalebar", transform: `translate(20 ${this.#height - 24})` },
      svg("path", { d: `M0-6V0H${width.toFixed(1)}V-6` }), svg("text", { x: 4, y: -10 }, text));
  }

  #zoom(by, x, y) {
    if (!this.#view) return;
    const view = this.#view;
    const scale = Math.max(CLOSEST, Math.min(FARTHEST, view.scale * by));
    view.x += (x - this.#width / 2) * (view.scale - scale);
    view.y += (y - this.#height / 2) * (view.scale - scale);
    view.scale = scale;
    this.#draw();
  }

  #drag() {
    const fingers = new Map();
    let moved = 0;
    const inPicture = (event) => {
      const box = this.#svg.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const spread = () => {
      const [[ax, ay], [bx, by]] = [...fingers.values()];
      return Math.hypot(ax - bx, ay - by) || 1;
    };
    this.#svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, ...inPicture(event));
    }, { passive: false });
    this.#svg.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, inPicture(event));
      moved = 0;
    });
    this.#svg.addEventListener("pointermove", (event) => {
      const from = fingers.get(event.pointerId);
      if (!from || !this.#view) return;
      const before = fingers.size === 2 ? spread() : 0;
      const to = inPicture(event);
      fingers.set(event.pointerId, to);
      if (before) this.#zoom(before / spread(), ...to);
      else {
        moved += Math.hypot(to[0] - from[0], to[1] - from[1]);
        this.#view.x -= (to[0] - from[0]) * this.#view.scale;
        this.#view.y -= (to[1] - from[1]) * this.#view.scale;
        this.#draw();
      }
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      this.#svg.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    this.#svg.addEventListener("click", (event) => {
      if (moved > 8) event.preventDefault();
    }, true);
  }
}

function extent(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity]);
}
