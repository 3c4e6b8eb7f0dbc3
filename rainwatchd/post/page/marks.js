// What stands on the map for devices: a mark each, and one for several where they would overlap.

import { sign, tint } from "./alerts.js";
import { svg } from "./dom.js";
import { state } from "./post.js";
import { ago, className, now, t } from "./words.js";

export const RECENT_MS = 24 * 3600 * 1000;

/** Units of the picture that a finger needs. */
export const CELL = 44;

const LETTER = 8.5;
const LONGEST = 16;
const WORST = ["silent", "offline", "degraded", "unknown", "online"];

/**
 * Gather devices that lie closer than a finger is wide.
 * `spots` are `{ device, event, x, y }`, `corner` is where the picture's origin lies on the ground,
 * in units of the picture, so that groups stay when the map is moved.
 */
export function gathered(spots, corner) {
  const cells = new Map();
  for (const spot of spots) {
    const key = `${Math.floor((spot.x + corner[0]) / CELL)} ${Math.floor((spot.y + corner[1]) / CELL)}`;
    const cell = cells.get(key);
    if (cell) cell.push(spot);
    else cells.set(key, [spot]);
  }
  const groups = [...cells.values()].map((members) => {
    const middle = (axis) => members.reduce((sum, spot) => sum + spot[axis], 0) / members.length;
    const kinds = new Set(members.map(({ device }) => state(device)));
    const event = members.reduce((newest, spot) =>
      (spot.event && !(newest?.at > spot.event.at) ? spot.event : newest), null);
    return {
      members, event, x: middle("x"), y: middle("y"), kind: WORST.find((one) => kinds.has(one)),
    };
  });
  // What matters is drawn last, on top, and is the first to have its name.
  const weight = ({ event, kind }) => (event ? 2 : 0) + (kind === "online" ? 0 : 1);
  return groups.sort((a, b) => weight(a) - weight(b));
}

/** Draw a group; `closer()` is what a touch of several does. */
export function mark(group, closer) {
  const { members, event, kind, x, y } = group;
  const several = members.length > 1;
  const { device } = members[0];
  const said = [several ? t("devices_here", { count: members.length }) : device.device_id,
    t(`state.${kind}`)];
  if (event) said.push(`${className(event.class)} ${ago(event.at)}`);
  // A finger is wider than a dot.
  const parts = [svg("circle", { r: 26, class: "touch" }),
    svg("circle", { r: several ? 12 : 7, class: `device state-${kind}` })];
  if (several) parts.push(svg("text", { y: 5, class: "count" }, members.length));
  else if (kind !== "online") parts.push(svg("path", { d: "M-4-4 4 4M4-4-4 4", class: "cross" }));
  if (event) {
    const age = (now() - Date.parse(event.at)) / RECENT_MS;
    const opacity = event.phase === "offset" ? Math.max(0.35, 1 - age) : 1;
    parts.push(
      svg("circle", { r: several ? 18 : 15, class: `halo tint-${tint(event.class)}`, opacity }),
      svg("text", { x: 20, y: 6, class: `sign tint-${tint(event.class)}`, opacity },
        sign(event.class)));
  }
  if (several && kind !== "online") {
    parts.push(svg("text", { x: -30, y: 5, class: `worst state-${kind}` }, "✕"));
  }
  const target = several ? "#/map" : event ? `#/alert/${encodeURIComponent(event.event_id)}`
    : `#/device/${encodeURIComponent(device.device_id)}`;
  return svg("a", {
    href: target, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    "aria-label": said.join(", "), "data-device": several ? null : device.device_id,
    onclick: several ? (click) => {
      click.preventDefault();
      closer();
    } : null,
  }, svg("title", {}, said.join(", ")), ...parts);
}

/** Names that don't cover each other; those of `places` that come first are the first to be written. */
export function written(places) {
  const taken = [];
  return places.flatMap(({ x, y, name, kind }) => {
    const text = name.length > LONGEST ? `${name.slice(0, 8)}…${name.slice(-7)}` : name;
    const half = (LETTER * text.length) / 2;
    const free = taken.every((other) => Math.abs(other.x - x) > other.half + half + 4 ||
      Math.abs(other.y - y) > 18);
    if (!free) return [];
    taken.push({ x, y, half });
    return [svg("text", { x: x.toFixed(1), y: y.toFixed(1), class: kind }, text)];
  });
}
