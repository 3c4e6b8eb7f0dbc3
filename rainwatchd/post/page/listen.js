// A device's spectrum as it is heard now: 64 bands a second, only while somebody looks.

import { el, say } from "./dom.js";
import { paint } from "./spectrogram.js";
import { figure, t } from "./words.js";

const SECONDS = 120;
const BANDS = 64;
const SILENT_MS = 10_000;
const RANGE = 100; // Counts of half a decibel below the loudest of what is shown.
const QUIETEST = 60; // What never is as loud as this is not drawn as though it were.

export class Listen {
  #deviceId;
  #stream = null;
  #columns = [];
  #canvas = el("canvas", { width: SECONDS, height: BANDS, role: "img", hidden: true });
  #scale = el("p", { class: "quiet scale" });
  #told = el("p", { class: "quiet", role: "status" });
  #button;
  #timer = null;

  constructor(deviceId, may) {
    this.#deviceId = deviceId;
    this.#button = el("button", {
      type: "button", "aria-pressed": "false", disabled: !may,
      onclick: () => (this.#stream ? this.stop() : this.#start()),
    }, t("listen"));
    this.#canvas.setAttribute("aria-label", t("live_spectrogram"));
    this.node = el("section", { class: "listen" }, el("h3", {}, t("listen")), this.#button,
      this.#canvas, this.#scale, this.#told);
    if (!may) say(this.#told, t("rangers_listen"));
  }

  /** Close the stream; the device falls silent within a minute. */
  stop() {
    this.#stream?.close();
    this.#stream = null;
    clearTimeout(this.#timer);
    this.#button.setAttribute("aria-pressed", "false");
    say(this.#button, t("listen"));
  }

  #start() {
    this.#columns = [];
    this.#canvas.hidden = false;
    this.#button.setAttribute("aria-pressed", "true");
    say(this.#button, t("stop"));
    say(this.#told, t("asking"));
    this.#stream = new EventSource(`devices/${encodeURIComponent(this.#deviceId)}/spectrum`);
    this.#stream.addEventListener("spectrum", (event) => this.#take(JSON.parse(event.data)));
    this.#timer = setTimeout(() => say(this.#told, t("no_spectrum")), SILENT_MS);
    // Nobody looks at a page in the background.
    document.addEventListener("visibilitychange", () => document.hidden && this.stop(),
      { once: true });
  }

  #take({ bands, low_hz: low, high_hz: high }) {
    clearTimeout(this.#timer);
    say(this.#told, "");
    say(this.#scale, `${figure(low, "Hz")} – ${figure(high / 1000, "kHz")}`);
    this.#columns.push(Uint8Array.from(atob(bands), (letter) => letter.charCodeAt(0)));
    this.#columns = this.#columns.slice(-SECONDS);
    this.#draw();
  }

  /** The newest at the right; as bright as its loudest, for a forest is quieter than a saw. */
  #draw() {
    const context = this.#canvas.getContext("2d");
    const image = context.createImageData(SECONDS, BANDS);
    const loudest = this.#columns.reduce((top, levels) => Math.max(top, ...levels), QUIETEST);
    const first = SECONDS - this.#columns.length;
    this.#columns.forEach((levels, at) => {
      for (let y = 0; y < BANDS; y++) {
        paint(image, first + at, y, ((levels[BANDS - 1 - y] ?? 0) - loudest) / RANGE + 1);
      }
    });
    context.putImageData(image, 0, 0);
  }
}
