// What the server knows: requests, the live stream, and what has been read so far.

import { now, setClock } from "./words.js";

const NOTICE_MS = 10_000;
const RETRY_MS = 3000;
const DEVICES = 500; // At a time, so that a large fleet doesn't stop the page.

/** An answer that is no success; `status` is HTTP's, the message is the server's one line. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the server; JSON in, JSON out. */
export async function ask(path, body) {
  const request = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, request);
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, told.error ?? answer.statusText);
  return told;
}

/** The query of a filter, without what isn't set. */
export function query(filter) {
  const set = Object.entries(filter).filter(([, value]) => value !== "" && value !== null);
  return new URLSearchParams(set).toString();
}

/** Newest first; of one moment the later id, so that an order is an order. */
export const newerFirst = (a, b) =>
  a.at === b.at ? (a.event_id < b.event_id ? 1 : -1) : a.at < b.at ? 1 : -1;

/** A device's state as it is shown: silence outweighs what it said last. */
export const state = (device) =>
  device.silent ? "silent" : ["online", "degraded", "offline"].includes(device.state)
    ? device.state : "unknown";

/** Listeners by name, told in the order in which they came. */
export class Signals {
  #listeners = new Map();

  on(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  tell(name, ...what) {
    for (const listener of this.#listeners.get(name) ?? []) listener(...what);
  }
}

/** The post as this page sees it. Tells `about`, `events`, `devices`, `reset`, `connection`,
 * and `listed` where the list has been read. */
export class Post extends Signals {
  about = null;
  devices = new Map();
  connected = false;
  #stream = null;
  #retry = null;
  #told = new Set(); // Devices that the stream told of while they were read.

  constructor() {
    super();
    setInterval(() => this.#notice(), NOTICE_MS);
  }

  async start() {
    this.use(await ask("about"));
  }

  /** Take what `about` says: who this is decides what may be read. */
  use(about) {
    this.about = about;
    setClock(about.now);
    this.tell("about");
    if (about.role) this.#listen();
    else this.#stop();
  }

  async login(name, password) {
    this.use(await ask("login", { name, password }));
  }

  async logout() {
    this.#stop();
    this.devices.clear();
    this.use(await ask("logout", {}));
  }

  /** Read all devices; what hinders it is hoped to have passed a little later. */
  async readDevices() {
    try {
      await this.#readAll();
    } catch {
      setTimeout(() => this.#stream && this.readDevices(), RETRY_MS);
    }
  }

  async #readAll() {
    this.#told.clear();
    let [after, begun] = ["", false];
    const read = [];
    do {
      const { devices, next } = await ask(`devices?${query({ after, limit: DEVICES })}`);
      const older = devices.filter((device) => !this.#told.has(device.device_id));
      for (const device of older) this.devices.set(device.device_id, device);
      read.push(...older);
      // What is there first is shown; then all, since each showing sorts and places them all.
      if (!begun || next === null) this.tell("devices", read);
      [after, begun] = [next, true];
    } while (after !== null);
  }

  /** Silence sends no message: look who hasn't been heard for too long. */
  #notice() {
    if (!this.connected) return; // Then it is this page that hears nothing.
    const since_ms = now() - 1000 * (this.about?.silent_after_s ?? Infinity);
    const fallen = [...this.devices.values()].filter((device) =>
      !device.silent && !(Date.parse(device.last_heard) >= since_ms));
    for (const device of fallen) device.silent = true;
    if (fallen.length) this.tell("devices", fallen);
  }

  #stop() {
    this.#stream?.close();
    clearTimeout(this.#retry);
    this.#stream = null;
    this.#connection(false);
  }

  #connection(connected) {
    this.connected = connected;
    this.tell("connection");
  }

  #listen() {
    if (this.#stream) return;
    const stream = (this.#stream = new EventSource("live"));
    const on = (name, take) =>
      stream.addEventListener(name, (event) => take(JSON.parse(event.data)));
    let met = false;
    on("hello", (about) => {
      this.about = about;
      setClock(about.now);
      this.#connection(true);
      this.tell("about");
      // What devices said while the stream was cut off is not told again; events are.
      if (met) this.readDevices();
      else this.tell("reset");
      met = true;
    });
    on("events", (events) => this.tell("events", events));
    on("devices", (devices) => {
      for (const device of devices) this.#told.add(device.device_id);
      for (const device of devices) this.devices.set(device.device_id, device);
      this.tell("devices", devices);
    });
    on("broker", ({ broker }) => {
      this.about.broker = broker;
      this.tell("connection");
    });
    on("reset", () => this.tell("reset"));
    stream.onerror = () => {
      this.#connection(false);
      if (stream.readyState !== EventSource.CLOSED) return;
      // The browser gives up on an answer that is no stream, as of a server that is starting.
      this.#stream = null;
      this.#retry = setTimeout(() => this.start().catch(() => this.#again()), RETRY_MS);
    };
  }

  #again() {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.start().catch(() => this.#again()), RETRY_MS);
  }
}
