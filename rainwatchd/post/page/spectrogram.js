// Spectrograms drawn in the page: of a clip's sound, and of a device's live bands.

const COLOURS = colours();

/** A table of 256 colours from black over violet and orange to pale yellow, rising in lightness. */
function colours() {
  const stops = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109],
    [252, 253, 191]];
  const table = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level++) {
    const at = (level / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    for (let channel = 0; channel < 3; channel++) {
      const [from, to] = [stops[low][channel], stops[low + 1][channel]];
      table[3 * level + channel] = from + (at - low) * (to - from);
    }
  }
  return table;
}

/** Paint one pixel of an ImageData with a level of 0 to 1. */
export function paint(image, x, y, level) {
  const from = 3 * Math.max(0, Math.min(255, Math.round(255 * level)));
  const to = 4 * (y * image.width + x);
  image.data[to] = COLOURS[from];
  image.data[to + 1] = COLOURS[from + 1];
  image.data[to + 2] = COLOURS[from + 2];
  image.data[to + 3] = 255;
}

/** Decode a clip to mono at 8 kHz, which is what devices send. */
export async function decoded(file) {
  const context = new OfflineAudioContext(1, 1, 8000);
  const sound = await context.decodeAudioData(file);
  return { samples: sound.getChannelData(0), rate_hz: sound.sampleRate };
}

const SIZE = 512;
const RANGE_DB = 60;

/**
 * Draw a sound, a column each `samples.length / canvas.width`, linear in frequency from the
 * bottom. Hann windows of 512 samples, power in dB against the loudest. Long sounds are drawn in
 * pieces, so that the page answers meanwhile.
 */
export async function drawSound(canvas, { samples, rate_hz }) {
  const context = canvas.getContext("2d");
  const columns = canvas.width;
  const bins = SIZE / 2;
  const level_db = new Float32Array(columns * bins);
  const fft = new Fourier(SIZE);
  let loudest_db = -Infinity;
  let pause = performance.now() + 20;
  for (let column = 0; column < columns; column++) {
    const first = Math.round((column / columns) * Math.max(0, samples.length - SIZE));
    const power = fft.power(samples, first);
    for (let bin = 0; bin < bins; bin++) {
      const db = 10 * Math.log10(power[bin] + 1e-12);
      level_db[column * bins + bin] = db;
      if (db > loudest_db) loudest_db = db;
    }
    if (performance.now() > pause) {
      await new Promise((go) => setTimeout(go));
      pause = performance.now() + 20;
    }
  }
  const image = context.createImageData(columns, canvas.height);
  for (let column = 0; column < columns; column++) {
    for (let y = 0; y < canvas.height; y++) {
      const bin = Math.floor(((canvas.height - 1 - y) / canvas.height) * bins);
      const db = level_db[column * bins + bin];
      paint(image, column, y, (db - loudest_db) / RANGE_DB + 1);
    }
  }
  context.putImageData(image, 0, 0);
  return { duration_s: samples.length / rate_hz, top_hz: rate_hz / 2 };
}

/** Discrete Fourier transform of real samples by radix 2 (Cooley and Tukey 1965). */
class Fourier {
  constructor(size) {
    this.size = size;
    this.real = new Float32Array(size);
    this.imaginary = new Float32Array(size);
    this.out = new Float32Array(size / 2);
    this.window = Float32Array.from({ length: size },
      (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / size));
    this.cosine = Float32Array.from({ length: size / 2 },
      (_, at) => Math.cos((2 * Math.PI * at) / size));
    this.sine = Float32Array.from({ length: size / 2 },
      (_, at) => Math.sin((2 * Math.PI * at) / size));
    const bits = Math.log2(size);
    this.reversed = Uint16Array.from({ length: size }, (_, at) => {
      let back = 0;
      for (let bit = 0; bit < bits; bit++) back |= ((at >> bit) & 1) << (bits - 1 - bit);
      return back;
    });
  }

  /** Power of the `size` samples from `first`, shape (size / 2). */
  power(samples, first) {
    const { size, real, imaginary, window, cosine, sine, reversed, out } = this;
    for (let at = 0; at < size; at++) {
      const from = reversed[at];
      real[at] = (samples[first + from] ?? 0) * window[from];
      imaginary[at] = 0;
    }
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [c, s] = [cosine[k * stride], sine[k * stride]];
          const [a, b] = [start + k, start + k + half];
          const re = real[b] * c + imaginary[b] * s;
          const im = imaginary[b] * c - real[b] * s;
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
    for (let bin = 0; bin < size / 2; bin++) out[bin] = real[bin] ** 2 + imaginary[bin] ** 2;
    return out;
  }
}
