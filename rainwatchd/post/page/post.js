// What the server knows: requests, the live stream, and what has been read so far.

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

  async start() {
    this.use(await ask("about"));
  }

  /** Take what `about` says: who this is decides what may be read. */
  use(about) {
    this.about = about;
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

  async readDevices() {
    const { devices } = await ask("devices");
    this.devices = new Map(devices.map((device) => [device.device_id, device]));
    this.tell("devices", devices);
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
      this.#connection(true);
      this.tell("about");
      if (!met) this.tell("reset");
      met = true;
    });
    on("events", (events) => this.tell("events", events));
    on("devices", (devices) => {
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
      this.#retry = setTimeout(() => this.start().catch(() => this.#again()), 3000);
    };
  }

  #again() {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.start().catch(() => this.#again()), 3000);
  }
}
