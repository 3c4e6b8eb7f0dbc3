// A device's spectrum as it is heard now: 64 bands a second, only while somebody looks.

import { el, say } from "./dom.js";
import { paint } from "./spectrogram.js";
import { t } from "./words.js";

const SECONDS = 120;
const BANDS = 64;
const SILENT_MS = 10_000;
const FULL = 160; // A count is half a decibel above the floor; 80 dB are drawn.

export class Listen {
  #deviceId;
  #stream = null;
  #image = null;
  #canvas = el("canvas", { width: SECONDS, height: BANDS, role: "img", hidden: true });
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
      this.#canvas, this.#told);
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
    this.#image = this.#canvas.getContext("2d").createImageData(SECONDS, BANDS);
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

  #take({ bands }) {
    clearTimeout(this.#timer);
    say(this.#told, "");
    const levels = Uint8Array.from(atob(bands), (letter) => letter.charCodeAt(0));
    const { data, width } = this.#image;
    for (let y = 0; y < BANDS; y++) {
      const row = 4 * y * width;
      data.copyWithin(row, row + 4, row + 4 * width);
      paint(this.#image, width - 1, y, (levels[BANDS - 1 - y] ?? 0) / FULL);
    }
    this.#canvas.getContext("2d").putImageData(this.#image, 0, 0);
  }
}
