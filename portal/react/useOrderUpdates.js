// React hook: calls `onUpdate` for each newer status of an order, and says how the connection stands.

import { useEffect, useRef, useState } from "react";

import { watchOrder } from "../umbra-orders.js";

/**
 * @param {string | undefined} orderId follows nothing while there is none
 * @param {(update: import("../umbra-orders.js").OrderUpdate) => void} onUpdate
 * @returns {import("../umbra-orders.js").WatchStatus}
 */
export function useOrderUpdates(orderId, onUpdate, { baseUrl } = {}) {
  const [status, setStatus] = useState({ state: "connecting" });
  // The newest callback is called without opening the stream anew for it.
  const latest = useRef(onUpdate);
  useEffect(() => {
    latest.current = onUpdate;
  }, [onUpdate]);
  useEffect(() => {
    if (!orderId) return undefined;
    const watch = watchOrder(orderId, { baseUrl, onStatus: setStatus, onUpdate: (update) => latest.current(update) });
    return () => watch.close();
  }, [orderId, baseUrl]);
  return status;
}
