// The list of alerts: newest first, live, paged, filtered.

import { byId, coalesced, el, fill, say } from "./dom.js";
import { ask, newerFirst, query } from "./post.js";
import { ago, className, figure, lasting, now, t, when } from "./words.js";

const PAGE = 50;
const OFFERED = 50; // Names that are offered for what has been typed of one.
const MOST_ROWS = 300; // What stays in the page; older ones are read again when they are wanted.
const SHAPES = { chainsaw: "▲", engine: "■", storm: "●" };

/** The sign of a class, so that colour is never alone. */
export const sign = (label) => SHAPES[label] ?? "◆";

/** A word that names the class's colour in the style sheet. */
export const tint = (label) => (label in SHAPES ? label : "unknown");

/** How sure an event is, in whole per cent. */
export const sure = (event) => `${Math.round(100 * event.peak_score)}\u202f%`;

/** Remarks that change what an alert is worth. */
export function remarks(event) {
  const said = [];
  if (event.historical) said.push(["late", t("historical")]);
  if (!event.clock_synced) said.push(["clock", t("clock_unsynced")]);
  return said;
}

export class Alerts {
  events = new Map();
  selected = null;
  filter = { device: "", class: "", verdict: "", since: "", until: "" };
  #post;
  #open;
  #rows = new Map();
  #next = null;
  #reading = 0;
  #list;
  #draw = coalesced(() => this.#drawNow());

  /** `open(event_id)` shows one alert. */
  constructor(post, open) {
    this.#post = post;
    this.#open = open;
    post.on("events", (events) => this.#take(events));
    post.on("reset", () => this.read());
    post.on("about", () => this.#offerClasses());
    setInterval(() => this.#age(), 1000);
  }

  /** Build the section anew, as after a change of language. */
  build() {
    this.#rows.clear();
    const change = (name) => (event) => {
      this.filter[name] = event.target.value;
      this.read();
    };
    const day = (name) => (event) => {
      const at = event.target.value && new Date(`${event.target.value}T00:00`);
      if (at && name === "until") at.setDate(at.getDate() + 1);
      this.filter[name] = at ? at.toISOString() : "";
      this.read();
    };
    const verdicts = ["", "none", "true", "false", "unsure"];
    this.#list = el("ol", { class: "rows", id: "rows" });
    byId("alerts").replaceChildren(
      el("details", { class: "filters" },
        el("summary", {}, t("filter")),
        label("device", el("input", {
          id: "filter-device", type: "search", list: "device-names", autocomplete: "off",
          value: this.filter.device, onchange: change("device"),
          onfocus: () => this.#offerDevices(), oninput: () => this.#offerDevices(),
        })),
        el("datalist", { id: "device-names" }),
        label("class", el("select", { id: "filter-class", onchange: change("class") })),
        label("verdict", el("select", { onchange: change("verdict") },
          ...verdicts.map((value) => el("option", { value }, t(`filter.${value || "all"}`))))),
        label("since", el("input", { type: "date", onchange: day("since") })),
        label("until", el("input", { type: "date", onchange: day("until") })),
        el("p", { class: "exports" },
          el("a", { id: "export-csv", download: true }, t("export_csv")), " ",
          el("a", { id: "export-zip", download: true }, t("export_zip")))),
      this.#list,
      el("p", { id: "nothing", class: "quiet", hidden: true }, t("no_alerts")),
      el("button", { id: "older", type: "button", hidden: true, onclick: () => this.#older() },
        t("older")));
    this.#offerClasses();
    this.#draw();
  }

  /** Read the newest page. */
  async read() {
    const turn = ++this.#reading;
    const { events, next } = await ask(`events?${query({ ...this.filter, limit: PAGE })}`);
    if (turn !== this.#reading) return; // A newer question is under way.
    this.events = new Map(events.map((event) => [event.event_id, event]));
    this.#next = next && { before: next };
    this.#draw();
    this.#post.tell("listed");
  }

  /** Select the alert `by` places further down; read older ones where the list ends. */
  move(by) {
    const order = this.#order();
    const at = order.findIndex((event) => event.event_id === this.selected);
    const to = order[Math.max(0, Math.min(order.length - 1, at + by))];
    if (at + by >= order.length && this.#next) this.#older();
    if (to) this.#open(to.event_id);
  }

  /** Mark one row as the one that is shown. */
  select(eventId) {
    this.selected = eventId;
    for (const [id, row] of this.#rows) row.mark(id === eventId);
  }

  async #older() {
    if (!this.#next) return;
    const asked = this.#next;
    this.#next = null;
    const { events, next } = await ask(
      `events?${query({ ...this.filter, limit: PAGE, ...asked })}`);
    for (const event of events) this.events.set(event.event_id, event);
    this.#next = next && { before: next };
    this.#drawNow(this.events.size);
  }

  #take(events) {
    for (const event of events) {
      if (this.#wanted(event)) this.events.set(event.event_id, event);
      else this.events.delete(event.event_id);
    }
    this.#draw();
  }

  #wanted(event) {
    const { device, class: label, verdict, since, until } = this.filter;
    const given = event.verdict?.verdict ?? "none";
    return (!device || device === event.device_id) && (!label || label === event.class) &&
      (!verdict || verdict === given) && (!since || event.at >= since) &&
      (!until || event.at < until);
  }

  /** Newest first; an incident's events stand together, where its newest is. */
  #order() {
    const newest = new Map();
    for (const { incident, at } of this.events.values()) {
      if (incident && !(newest.get(incident) > at)) newest.set(incident, at);
    }
    const place = (event) => newest.get(event.incident) ?? event.at;
    return [...this.events.values()].sort((a, b) => {
      const [x, y] = [place(a), place(b)];
      if (x !== y) return x < y ? 1 : -1;
      return a.incident === b.incident ? newerFirst(a, b)
        : (a.incident ?? a.event_id) < (b.incident ?? b.event_id) ? 1 : -1;
    });
  }

  #drawNow(most = MOST_ROWS) {
    if (!this.#list) return;
    const order = this.#order();
    if (order.length > most) {
      for (const event of order.splice(most)) this.events.delete(event.event_id);
      // Read on from the last that stays; those of its very moment come twice, which does no harm.
      this.#next = { until: new Date(Date.parse(order.at(-1).at) + 1).toISOString() };
    }
    for (const [id, row] of this.#rows) {
      if (this.events.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    const heardBy = new Map();
    for (const { incident, device_id: device } of order) {
      if (incident) heardBy.set(incident, (heardBy.get(incident) ?? new Set()).add(device));
    }
    let place = this.#list.firstChild;
    for (const event of order) {
      let row = this.#rows.get(event.event_id);
      if (!row) {
        row = new Row(event.event_id, this.#open);
        this.#rows.set(event.event_id, row);
      }
      row.show(event, heardBy.get(event.incident)?.size ?? 0);
      row.mark(event.event_id === this.selected);
      if (row.node === place) place = place.nextSibling;
      else this.#list.insertBefore(row.node, place);
    }
    byId("older").hidden = !this.#next;
    byId("nothing").hidden = order.length > 0;
    for (const kind of ["csv", "zip"]) {
      byId(`export-${kind}`).href = `export.${kind}?${query(this.filter)}`;
    }
  }

  #age() {
    if (document.hidden) return;
    for (const [id, row] of this.#rows) row.age(this.events.get(id));
  }

  #offerDevices() {
    const part = byId("filter-device").value.toLowerCase();
    const found = [...this.#post.devices.keys()].filter((id) => id.toLowerCase().includes(part));
    fill(byId("device-names"),
      ...found.sort().slice(0, OFFERED).map((value) => el("option", { value })));
  }

  #offerClasses() {
    offer("filter-class", this.#post.about?.classes ?? [], this.filter.class, className);
  }
}

class Row {
  #link;
  #parts;
  #event = null;
  #devices = 0;

  constructor(eventId, open) {
    const part = (name) => el("span", { class: name });
    this.#parts = Object.fromEntries(
      ["sign", "what", "who", "age", "sure", "notes", "verdict"].map((name) => [name, part(name)]));
    this.#parts.sign.setAttribute("aria-hidden", "true");
    this.#link = el("a", {
      href: `#/alert/${encodeURIComponent(eventId)}`,
      onclick: (click) => {
        click.preventDefault();
        open(eventId);
      },
    }, ...Object.values(this.#parts));
    this.node = el("li", {}, this.#link);
  }

  show(event, devices) {
    if (event === this.#event && devices === this.#devices) return;
    [this.#event, this.#devices] = [event, devices];
    const { sign: shape, what, who, sure: score, notes, verdict } = this.#parts;
    say(shape, sign(event.class));
    shape.className = `sign tint-${tint(event.class)}`;
    say(what, className(event.class));
    say(who, event.device_id);
    say(score, sure(event));
    const said = remarks(event);
    if (devices > 1) said.unshift(["incident", t("incident_of", { count: devices })]);
    say(notes, said.map(([, text]) => text).join(" · "));
    this.node.classList.toggle("joined", devices > 1);
    const given = event.verdict?.verdict;
    say(verdict, given ? t(`verdict.${given}`) : "");
    verdict.className = `verdict verdict-${given ?? "none"}`;
    this.age(event);
  }

  age(event) {
    if (!event) return;
    const ongoing = event.phase !== "offset";
    this.node.classList.toggle("ongoing", ongoing);
    const said = ongoing ? t("ongoing", { for: running(event) }) : ago(event.at);
    if (this.#parts.age.textContent === said) return;
    this.#parts.age.textContent = said;
    this.#parts.age.title = when(event.at);
  }

  mark(selected) {
    if (selected) this.#link.setAttribute("aria-current", "true");
    else this.#link.removeAttribute("aria-current");
  }
}

/** How long an event has lasted, or lasts; by the device's own count where its clock is wrong. */
export function running(event) {
  const since_s = (now() - Date.parse(event.at)) / 1000;
  const lasts = event.phase !== "offset" && !event.historical;
  return lasting(lasts ? Math.max(event.duration_s, since_s) : event.duration_s);
}

/** A line that says an event in words, as for a message to somebody else. */
export function inWords(event) {
  const place = event.lat === null ? t("no_position") : `${event.lat}, ${event.lon}`;
  return [
    `${className(event.class)} ${sure(event)}`, event.device_id, place,
    `${when(event.at)} (${event.at})`, figure(event.level_dbfs, "dBFS"),
  ].join(" · ");
}

function label(key, control) {
  return el("label", {}, el("span", {}, t(key)), control);
}

function offer(id, values, chosen, name = (value) => value) {
  const select = byId(id);
  if (!select) return;
  const known = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
  if (select.options.length === known.length + 1 && select.options.length > 1) return;
  select.replaceChildren(
    el("option", { value: "" }, t("filter.all")),
    ...known.map((value) => el("option", { value, selected: value === chosen }, name(value))));
}
