// One alert: what was heard, to look at, to hear, to judge and to hand on.

import { inWords, remarks, running, sign, sure, tint } from "./alerts.js";
import { byId, el, say } from "./dom.js";
import { ask, Refusal } from "./post.js";
import { decoded, drawSound } from "./spectrogram.js";
import { ago, className, figure, t, when } from "./words.js";

const VERDICTS = { true: "t", false: "f", unsure: "u" };

export class Alert {
  event = null;
  #post;
  #say;
  #back;
  #drawn = null;
  #missed = null; // What the stream told while the alert was read.

  /** `said(text)` tells the reader; `back()` leaves. */
  constructor(post, said, back) {
    this.#post = post;
    this.#say = said;
    this.#back = back;
    post.on("events", (events) => this.#take(events));
    setInterval(() => this.#age(), 1000);
  }

  /** Read and show one alert. */
  async show(eventId) {
    const missed = (this.#missed = []);
    let event = null;
    let refusal = null;
    try {
      event = await ask(`events/${encodeURIComponent(eventId)}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal = el("p", {}, error.message);
    }
    if (this.#missed !== missed) return; // Another was asked for meanwhile, or none.
    this.#missed = null;
    this.#drawn = null;
    this.event = event;
    if (refusal) byId("detail").replaceChildren(refusal);
    this.build();
    this.#take(missed);
  }

  /** Show nothing. */
  leave() {
    this.event = null;
    this.#missed = null;
    this.#drawn = null;
    byId("detail").replaceChildren();
  }

  /** Build the section anew from what is known. */
  build() {
    const event = this.event;
    if (!event) return;
    const position = event.lat !== null && event.lon !== null;
    const facts = [
      [t("device"), el("a", { href: `#/device/${encodeURIComponent(event.device_id)}` },
        event.device_id)],
      [t("when"), when(event.at)], [t("lasts"), el("span", { id: "lasts" })],
      [t("sure"), sure(event)], [t("level"), figure(event.level_dbfs, "dBFS")],
      [t("position"), position
        ? el("a", { href: `geo:${event.lat},${event.lon}` }, `${event.lat}, ${event.lon}`)
        : t("no_position")],
      [t("model"), event.model],
    ];
    const kept = byId("heard");
    const sound = kept && this.#drawn === event.event_id ? kept : el("div", { id: "heard" });
    byId("detail").replaceChildren(
      el("button", { type: "button", id: "back", onclick: this.#back }, `← ${t("back")}`),
      el("h2", { tabindex: "-1", id: "title" },
        el("span", { class: `sign tint-${tint(event.class)}`, "aria-hidden": "true" },
          sign(event.class)), " ", className(event.class), " ", el("small", { id: "age" })),
      el("ul", { class: "remarks" },
        ...remarks(event).map(([kind, text]) => el("li", { class: `remark-${kind}` }, text)),
        event.incident ? el("li", { class: "remark-incident" }, t("incident")) : null),
      sound,
      this.#verdicts(),
      el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("p", { class: "hand-on" },
        el("button", { type: "button", onclick: () => this.#copy() }, t("copy")),
        position ? el("a", { class: "button", href: `#/map/${encodeURIComponent(event.device_id)}` },
          t("tab.map")) : null,
        position ? el("a", { class: "button", href: `geo:${event.lat},${event.lon}` }, t("open_map"))
          : null));
    this.#age();
    if (sound !== kept || !sound.childElementCount) this.#sound(sound);
  }

  /** Give a verdict: "true", "false" or "unsure"; `label` is the class that it was instead. */
  async judge(verdict, label = null) {
    if (!this.event || this.#post.about?.role !== "ranger") return;
    const id = this.event.event_id;
    try {
      const judged = await ask(`events/${encodeURIComponent(id)}/verdict`,
        { verdict, class: label });
      const { at, by } = this.event?.verdict ?? {};
      const told = at === judged.verdict.at && by === judged.verdict.by;
      // The stream may have been faster, and know more.
      if (this.event?.event_id === id && !told) this.event = judged;
      this.build();
      this.#say(t("judged", { verdict: t(`verdict.${verdict}`) }));
    } catch (error) {
      this.#say(error.message);
    }
  }

  #take(events) {
    this.#missed?.push(...events);
    const mine = events.filter((event) => event.event_id === this.event?.event_id).pop();
    if (!mine) return;
    const grown = { verdicts: this.event.verdicts, ...mine };
    if (mine.verdict) {
      // New, or one that the broker has by now.
      const { at, by } = mine.verdict;
      grown.verdicts = [mine.verdict,
        ...grown.verdicts.filter((known) => known.at !== at || known.by !== by)];
    }
    this.event = grown;
    this.build();
  }

  #age() {
    if (!this.event || !byId("age")) return;
    const ongoing = this.event.phase !== "offset";
    say(byId("age"), ongoing ? t("ongoing", { for: running(this.event) }) : ago(this.event.at));
    byId("age").className = ongoing ? "still" : "quiet";
    say(byId("lasts"), running(this.event));
  }

  #verdicts() {
    const may = this.#post.about?.role === "ranger";
    const given = this.event.verdict?.verdict;
    const other = el("select", { "aria-label": t("was_instead"), disabled: !may },
      el("option", { value: "" }, t("was_instead")),
      ...(this.#post.about?.classes ?? []).filter((label) => label !== this.event.class)
        .map((label) => el("option", { value: label }, className(label))));
    other.addEventListener("change", () => other.value && this.judge("false", other.value));
    return el("div", { class: "verdicts", role: "group", "aria-label": t("verdict") },
      ...Object.entries(VERDICTS).map(([verdict, key]) =>
        el("button", {
          type: "button", class: `verdict-${verdict}`, disabled: !may, "aria-keyshortcuts": key,
          "aria-pressed": String(given === verdict), onclick: () => this.judge(verdict),
        }, t(`verdict.${verdict}`), el("kbd", { "aria-hidden": "true" }, key))),
      other,
      may ? null : el("p", { class: "quiet" }, t("rangers_judge")),
      el("ul", { class: "given" }, ...this.event.verdicts.slice(0, 10).map((verdict) =>
        el("li", {}, [
          t(`verdict.${verdict.verdict}`), verdict.class ? className(verdict.class) : null,
          verdict.by, when(verdict.at), verdict.delivered ? null : t("undelivered"),
        ].filter(Boolean).join(" · ")))));
  }

  async #sound(box) {
    const event = this.event;
    this.#drawn = event.event_id;
    if (!event.clip) {
      box.replaceChildren(el("p", { class: "quiet" }, t("no_sound")));
      this.#drawn = null;
      return;
    }
    const url = `clips/${encodeURIComponent(event.event_id)}`;
    const canvas = el("canvas", {
      width: 480, height: 160, role: "img", "aria-label": t("spectrogram"),
    });
    const player = el("audio", { src: url, controls: true, preload: "metadata" });
    const span = el("div", { class: "span", title: t("event_span") });
    const playhead = el("div", { class: "playhead", hidden: true });
    const scale = el("p", { class: "quiet scale" });
    box.replaceChildren(
      el("div", { class: "picture" }, canvas, span, playhead), scale, player);
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(answer.statusText);
      const { duration_s, top_hz } = await drawSound(canvas, await decoded(await answer.arrayBuffer()));
      // A published clip begins where its event does.
      const ends_s = event.phase === "offset" ? event.duration_s : duration_s;
      span.style.width = `${100 * Math.min(1, ends_s / duration_s)}%`;
      say(scale, t("scale", {
        seconds: figure(duration_s, "s"), hertz: figure(top_hz / 1000, "kHz"),
      }));
      player.addEventListener("timeupdate", () => {
        playhead.hidden = false;
        playhead.style.left = `${Math.min(100, (100 * player.currentTime) / duration_s)}%`;
      });
      box.dataset.decodedS = duration_s.toFixed(2);
    } catch (error) {
      say(scale, t("unreadable_sound", { reason: error.message }));
    }
  }

  async #copy() {
    const text = `${inWords(this.event)} ${location.href}`;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Over plain http to another machine a page may not reach the clipboard.
      const field = el("textarea", { readonly: true }, text);
      byId("detail").append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    this.#say(t("copied"));
  }
}
