/** A status of an order, as an `order.update` event carries it. */
export interface OrderUpdate {
  orderId: string;
  status: string;
  message: string | null;
  reason: string | null;
  /** ISO 8601, UTC. */
  timestamp: string;
  source: "salesforce" | "fulfilment";
  /** Compared as text: one that is not greater than the version shown is old, whichever way it came. */
  version: string;
  terminal: boolean;
  /** States that a slow connection was spared. */
  skipped?: number;
}

export interface WatchStatus {
  /**
   * connecting: not yet reached; open: live; reconnecting: lost, and coming back by itself;
   * done: the order is finished; closed: by `close()`, or for the `reason`.
   */
  state: "connecting" | "open" | "reconnecting" | "done" | "closed";
  /** How an open stream goes on: nothing was missed, from the current state, or something may be missing: read it. */
  resume?: "exact" | "snapshot" | "gap";
  /** Who serves the stream. */
  instance?: string;
  /** Seconds until the stream ends because its token does. */
  expiresIn?: number;
  /** Of closed: signed-out, forbidden, unknown. Of reconnecting: drain, overload, silent, or what is away. */
  reason?: string;
}

export interface WatchOptions {
  /** Called once for each newer status, in version order. */
  onUpdate?: (update: OrderUpdate) => void;
  onStatus?: (status: WatchStatus) => void;
  /** Origin of the streams, without a slash at the end; the page's own by default. */
  baseUrl?: string;
  /** Another implementation, for other places than a browser. */
  EventSource?: typeof EventSource;
}

export interface Watch {
  readonly status: WatchStatus;
  close(): void;
}

export function watchOrder(orderId: string, options?: WatchOptions): Watch;
export function watchOrders(options?: WatchOptions): Watch;
