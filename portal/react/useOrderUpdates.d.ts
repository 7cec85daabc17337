import type { OrderUpdate, WatchStatus } from "../umbra-orders.js";

export function useOrderUpdates(
  orderId: string | undefined,
  onUpdate: (update: OrderUpdate) => void,
  options?: { baseUrl?: string },
): WatchStatus;
