// The ranger's own lines: rivers, tracks and borders from GeoJSON, drawn under the devices.

import { svg } from "./dom.js";

const WAYS = new Set(["river", "track", "border"]);

/** What a line stands for: its `kind`, or what OpenStreetMap calls it. */
function wayOf(properties) {
  const { kind, waterway, natural, highway, boundary } = properties ?? {};
  if (WAYS.has(kind)) return kind;
  if (waterway || natural === "water") return "river";
  return highway ? "track" : boundary ? "border" : null;
}

/** Draw shapes; `on(lat, lon)` is where a place lies in the picture. */
export function drawn(found, on) {
  return found.map(({ points, kind, name, way }) => {
    const path = points.map(([lon, lat]) => on(lat, lon).map((n) => n.toFixed(1)).join(" "));
    if (kind === "point") {
      const [cx, cy] = path[0].split(" ");
      return svg("g", { class: "landmark" }, svg("circle", { cx, cy, r: 3 }),
        svg("text", { x: Number(cx) + 6, y: cy }, name ?? ""));
    }
    return svg("path", {
      d: `M${path.join("L")}${kind === "area" ? "z" : ""}`, class: `${kind} way-${way ?? "other"}`,
    }, svg("title", {}, name ?? ""));
  });
}

/** Where the names of lines and areas go: at their middle points, if these are in the picture. */
export function names(found, on, width, height) {
  const places = [];
  for (const { points, kind, name } of found) {
    if (kind === "point" || !name) continue;
    const [lon, lat] = points[Math.floor(points.length / 2)];
    const [x, y] = on(lat, lon);
    if (x > 0 && x < width && y > 0 && y < height) places.push({ x, y, name: String(name) });
  }
  return places;
}

/** Flatten GeoJSON (RFC 7946) to lines, areas and points with their names and ways. */
export function* shapes(node, name = null, way = null) {
  const own = node?.properties?.name ?? name;
  way = wayOf(node?.properties) ?? way;
  const { type, coordinates } = node ?? {};
  if (type === "FeatureCollection") for (const each of node.features) yield* shapes(each, own, way);
  else if (type === "Feature") yield* shapes(node.geometry, own, way);
  else if (type === "GeometryCollection") {
    for (const each of node.geometries) yield* shapes(each, own, way);
  } else if (type === "Point") yield { kind: "point", points: [coordinates], name: own, way };
  else if (type === "MultiPoint") {
    for (const point of coordinates) yield { kind: "point", points: [point], name: own, way };
  } else if (type === "LineString") yield { kind: "line", points: coordinates, name: own, way };
  else if (type === "MultiLineString") {
    for (const points of coordinates) yield { kind: "line", points, name: own, way };
  } else if (type === "Polygon") {
    for (const points of coordinates) yield { kind: "area", points, name: own, way };
  } else if (type === "MultiPolygon") {
    for (const points of coordinates.flat()) yield { kind: "area", points, name: own, way };
  }
}
