// The browser client of Umbra's order streams: an EventSource that cannot be stopped by a bad moment.
//
// A plain EventSource follows an order as well. What it lacks: it gives up for good on any answer but 200, it cannot
// tell a dead connection from a quiet order, and a new one does not know where the last one stood.

/** Heartbeats that may fail to come before the connection is taken for dead. */
const PATIENCE_BEATS = 2.5;
/** Seconds between heartbeats until the server has said. */
const DEFAULT_HEARTBEAT = 15;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** Orders whose shown state is remembered. */
const MOST_ORDERS = 2_000;

const STOPPED = { 401: "signed-out", 403: "forbidden", 404: "unknown" };

/**
 * Follows one order until it is finished.
 *
 * @param {string} orderId
 * @param {import("./umbra-orders.js").WatchOptions} options
 */
export function watchOrder(orderId, options = {}) {
  return new Watch(`/orders/${encodeURIComponent(orderId)}/events`, options, orderId);
}

/**
 * Follows all orders of whoever is signed in.
 *
 * @param {import("./umbra-orders.js").WatchOptions} options
 */
export function watchOrders(options = {}) {
  return new Watch("/orders/events", options, null);
}

class Watch {
  #url;
  #options;
  #orderId;
  #source = null;
  #cursor = null;
  #shown = new Map();
  #tries = 0;
  #heardAt = 0;
  #heartbeatMs = DEFAULT_HEARTBEAT * 1000;
  #timer = null;
  #watchdog = null;
  #asking = null;
  #status = { state: "connecting" };
  #wake = () => this.#check();

  constructor(path, options, orderId) {
    this.#url = (options.baseUrl ?? "") + path;
    this.#options = options;
    this.#orderId = orderId;
    // A machine that wakes up, or finds its network again, need not wait for the watchdog.
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#say({ state: "connecting" });
    this.#connect();
  }

  /** What `onStatus` was told last. */
  get status() {
    return this.#status;
  }

  /** Stops following; nothing is called any more. */
  close() {
    this.#end({ state: "closed" });
  }

  #connect() {
    this.#timer = null;
    const source = new (this.#options.EventSource ?? globalThis.EventSource)(this.#address());
    this.#source = source;
    this.#heard();
    this.#on(source, "stream", (event) => this.#greeted(JSON.parse(event.data)));
    this.#on(source, "order.update", (event) => this.#updated(JSON.parse(event.data)));
    this.#on(source, "heartbeat", () => {});
    this.#on(source, "auth.expiring", (event) => this.#say({ ...this.#status, expiresIn: JSON.parse(event.data).seconds }));
    source.addEventListener("error", () => this.#failed(source));
    this.#watch();
  }

  /** A new EventSource sends no Last-Event-ID, so the cursor goes into the address; on its own reconnects the header wins. */
  #address() {
    return this.#cursor ? `${this.#url}?lastEventId=${encodeURIComponent(this.#cursor)}` : this.#url;
  }

  #on(source, name, take) {
    source.addEventListener(name, (event) => {
      if (source !== this.#source) return;
      this.#heard();
      if (event.lastEventId) this.#cursor = event.lastEventId;
      take(event);
    });
  }

  #greeted({ resume, instance, heartbeatSeconds, reason }) {
    if (resume === "later") return this.#say({ state: "reconnecting", reason });
    this.#tries = 0;
    this.#heartbeatMs = (heartbeatSeconds ?? DEFAULT_HEARTBEAT) * 1000;
    this.#watch();
    this.#say({ state: "open", resume, instance });
  }

  #updated(update) {
    if (this.#orderId && update.orderId !== this.#orderId) return;
    const shown = this.#shown.get(update.orderId);
    if (shown && update.version <= shown.version) return;
    const repeated = shown?.status === update.status && (update.reason ?? shown.reason) === shown.reason;
    this.#remember(update.orderId, { ...update, reason: repeated ? shown.reason : update.reason });
    if (!repeated) this.#options.onUpdate?.(update);
    if (this.#orderId && update.terminal) this.#end({ state: "done" });
  }

  #remember(orderId, { version, status, reason }) {
    this.#shown.delete(orderId);
    this.#shown.set(orderId, { version, status, reason });
    if (this.#shown.size > MOST_ORDERS) this.#shown.delete(this.#shown.keys().next().value);
  }

  #failed(source) {
    if (source !== this.#source) return;
    this.#say({ state: this.#status.state === "connecting" ? "connecting" : "reconnecting" });
    // While it is connecting the browser tries again by itself; closed, it never would.
    if (source.readyState === 2) this.#stopped();
  }

  /** Something other than a 200: ask once what it was. */
  async #stopped() {
    this.#drop();
    const status = await this.#ask();
    if (this.#ended) return;
    if (status === 204) return this.#end({ state: "done" });
    if (STOPPED[status]) return this.#end({ state: "closed", reason: STOPPED[status] });
    this.#again();
  }

  async #ask() {
    this.#asking = new AbortController();
    const limit = setTimeout(() => this.#asking?.abort(), 5_000);
    try {
      const answer = await fetch(this.#address(), {
        headers: { Accept: "text/event-stream" },
        cache: "no-store",
        signal: this.#asking.signal,
      });
      return answer.status;
    } catch {
      return 0;
    } finally {
      clearTimeout(limit);
      this.#asking?.abort();
      this.#asking = null;
    }
  }

  #again() {
    const bound = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), bound * (0.5 + Math.random() / 2));
  }

  #heard() {
    this.#heardAt = Date.now();
  }

  #watch() {
    clearInterval(this.#watchdog);
    this.#watchdog = setInterval(() => this.#check(), Math.max(250, this.#heartbeatMs / 2));
  }

  /** A connection on which not even a heartbeat comes is dead, whatever the browser believes. */
  #check() {
    if (!this.#source || Date.now() - this.#heardAt <= this.#heartbeatMs * PATIENCE_BEATS) return;
    this.#drop();
    this.#say({ state: "reconnecting", reason: "silent" });
    this.#again();
  }

  #drop() {
    clearInterval(this.#watchdog);
    this.#source?.close();
    this.#source = null;
  }

  #say(status) {
    this.#status = status;
    this.#options.onStatus?.(status);
  }

  get #ended() {
    return this.#status.state === "closed" || this.#status.state === "done";
  }

  #end(status) {
    if (this.#ended) return;
    this.#drop();
    clearTimeout(this.#timer);
    this.#asking?.abort();
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#say(status);
  }
}
