// The map: devices by state, alerts by class and age, without tiles and without the internet.

import { sign, tint } from "./alerts.js";
import { byId, coalesced, el, svg } from "./dom.js";
import { ask } from "./post.js";
import { ago, className, figure, t } from "./words.js";

const EARTH_M = 111_320; // One degree of latitude.
const RECENT_MS = 24 * 3600 * 1000;

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
            this.#view = null;
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

  #placed() {
    return [...this.#post.devices.values()].filter(({ lat, lon }) => lat !== null && lon !== null);
  }

  #drawNow() {
    if (!this.#svg || byId("map").hidden) return;
    const placed = this.#placed();
    if (!this.#view) this.#fit(placed);
    const parts = [];
    if (this.#ground) {
      parts.push(...this.#background(), ...this.#outlines());
      const newest = this.#newest();
      for (const device of placed) parts.push(this.#ring(device));
      for (const device of placed) parts.push(this.#device(device, newest.get(device.device_id)));
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
    const lost = [...this.#post.devices.values()].filter((device) => !placed.includes(device));
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
    const scale = Math.max((2 * -left + around_m) / this.#width, (2 * -top + around_m) / this.#height);
    this.#view = { x: 0, y: 0, scale };
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

  #outlines() {
    return (this.#lines ?? []).map(({ points, kind, name }) => {
      const way = points.map(([lon, lat]) => this.#on(lat, lon).map((n) => n.toFixed(1)).join(" "));
      if (kind === "point") {
        const [x, y] = way[0].split(" ");
        return svg("g", { class: "landmark" }, svg("circle", { cx: x, cy: y, r: 3 }),
          svg("text", { x: Number(x) + 6, y }, name ?? ""));
      }
      return svg("path", { d: `M${way.join("L")}${kind === "area" ? "z" : ""}`, class: kind },
        svg("title", {}, name ?? ""));
    });
  }

  /** Each device's newest alert of the last day. */
  #newest() {
    const newest = new Map();
    for (const event of this.#alerts.events.values()) {
      const known = newest.get(event.device_id);
      const recent = Date.now() - Date.parse(event.at) < RECENT_MS;
      if (recent && (!known || known.at < event.at)) newest.set(event.device_id, event);
    }
    return newest;
  }

  #ring({ lat, lon }) {
    const [cx, cy] = this.#on(lat, lon);
    return svg("circle", {
      cx, cy, r: (this.#post.about?.audible_m ?? 0) / this.#view.scale, class: "audible",
    });
  }

  #device(device, event) {
    const [x, y] = this.#on(device.lat, device.lon);
    const kind = state(device);
    const words = [device.device_id, t(`state.${kind}`)];
    // A finger is wider than a dot.
    const parts = [svg("circle", { r: 26, class: "touch" }),
      svg("circle", { r: 7, class: `device state-${kind}` })];
    if (kind !== "online") parts.push(svg("path", { d: "M-4-4 4 4M4-4-4 4", class: "cross" }));
    if (event) {
      words.push(`${className(event.class)} ${ago(event.at)}`);
      const age = (Date.now() - Date.parse(event.at)) / RECENT_MS;
      const fading = event.phase === "offset" ? Math.max(0.35, 1 - age) : 1;
      parts.push(
        svg("circle", { r: 15, class: `halo tint-${tint(event.class)}`, opacity: fading }),
        svg("text", { x: 18, y: 6, class: `sign tint-${tint(event.class)}`, opacity: fading },
          sign(event.class)));
    }
    parts.push(svg("text", { y: 30, class: "name" }, device.device_id));
    const target = event ? `#/alert/${encodeURIComponent(event.event_id)}`
      : `#/device/${encodeURIComponent(device.device_id)}`;
    return svg("a", {
      href: target, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
      "aria-label": words.join(", "), "data-device": device.device_id,
    }, svg("title", {}, words.join(", ")), ...parts);
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
    const scale = Math.max(0.05, Math.min(20_000, view.scale * by));
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

/** A device's state as it is drawn: silence outweighs what it said last. */
export const state = (device) =>
  device.silent ? "silent" : ["online", "degraded", "offline"].includes(device.state)
    ? device.state : "unknown";

function extent(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity]);
}

/** Flatten GeoJSON (RFC 7946) to lines, areas and points with their names. */
function* shapes(node, name = null) {
  const own = node?.properties?.name ?? name;
  const { type, coordinates } = node ?? {};
  if (type === "FeatureCollection") for (const each of node.features) yield* shapes(each, own);
  else if (type === "Feature") yield* shapes(node.geometry, own);
  else if (type === "GeometryCollection") {
    for (const each of node.geometries) yield* shapes(each, own);
  } else if (type === "Point") yield { kind: "point", points: [coordinates], name: own };
  else if (type === "MultiPoint") {
    for (const point of coordinates) yield { kind: "point", points: [point], name: own };
  } else if (type === "LineString") yield { kind: "line", points: coordinates, name: own };
  else if (type === "MultiLineString") {
    for (const points of coordinates) yield { kind: "line", points, name: own };
  } else if (type === "Polygon") {
    for (const points of coordinates) yield { kind: "area", points, name: own };
  } else if (type === "MultiPolygon") {
    for (const points of coordinates.flat()) yield { kind: "area", points, name: own };
  }
}
