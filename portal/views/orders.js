// All of the customer's orders, kept up to date by one stream.

import { Problem, read } from "../api.js";
import { fill, h } from "../dom.js";
import { day, money } from "../format.js";
import { connectionLine } from "../live.js";
import { problemNotice } from "../ordering.js";
import { provenanceLine, smallPrint } from "../provenance.js";
import { statusWord, toneOf } from "../track.js";
import { watchOrders } from "../umbra-orders.js";

export function ordersView({ signal, signedOut }) {
  const connection = connectionLine();
  const said = h("p", { class: "hidden", role: "status" });
  const body = h("div", null, h("p", { class: "quiet" }, "Fetching your orders…"));
  let orders = new Map();
  let provenance = null;
  load();
  const watch = watchOrders({ onUpdate: apply, onStatus: heard });
  signal.addEventListener("abort", () => watch.close());
  return h(
    "div",
    null,
    h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Orders"), connection.element),
    said,
    body,
  );

  async function load() {
    try {
      const answer = await read("/orders", { signal });
      provenance = answer.provenance;
      // A status that the stream has already brought is newer than this read's.
      orders = new Map(answer.body.orders.map((order) => [order.orderId, newer(order, orders.get(order.orderId))]));
      show();
    } catch (problem) {
      if (!(problem instanceof Problem)) return;
      if (problem.status === 401) return signedOut();
      if (orders.size === 0) fill(body, problemNotice(problem, load));
    }
  }

  function heard(status) {
    if (status.reason === "signed-out") return signedOut();
    connection.show(status);
  }

  function apply(update) {
    const known = orders.get(update.orderId);
    // Placed in another tab: the stream says that it is there, a read says what it is.
    if (!known) return load();
    const status = { status: update.status, statusReason: update.reason, statusVersion: update.version };
    const order = newer(known, { ...known, ...status });
    if (order === known) return;
    orders.set(update.orderId, order);
    said.textContent = `Order ${order.orderNumber} is ${statusWord(order.status)}`;
    // In place: a row that somebody has the focus on stays where it is.
    showStatus(body.querySelector(`[data-order="${order.orderId}"]`), order);
  }

  function show() {
    if (orders.size === 0) {
      fill(body, h("p", { class: "empty" }, "No orders yet. ", h("a", { href: "#/plans/internet" }, "Look at the plans")));
      return;
    }
    const sorted = [...orders.values()].sort((a, b) => (b.createdAt ?? "").localeCompare(a.createdAt ?? ""));
    fill(body, h("ul", { class: "order-list" }, sorted.map(row)), provenanceLine(provenance), smallPrint(provenance));
  }
}

function newer(order, other) {
  return other && (other.statusVersion ?? "") > (order.statusVersion ?? "") ? { ...order, ...statusOf(other) } : order;
}

function statusOf({ status, statusReason, statusVersion }) {
  return { status, statusReason, statusVersion };
}

function row(order) {
  const link = h(
    "a",
    { class: "order-row", href: `#/orders/${order.orderId}`, "data-order": order.orderId },
    h("span", { class: "order-number" }, order.orderNumber ?? order.orderId),
    h("span", { class: "quiet order-day" }, order.createdAt ? day(order.createdAt) : ""),
    h("span", { class: "order-total" }, order.totalAmount ? money(order.totalAmount, order.currency) : ""),
    h("span", { class: "pill" }),
  );
  showStatus(link, order);
  return h("li", null, link);
}

function showStatus(link, { status }) {
  link.dataset.status = status;
  const pill = link.querySelector(".pill");
  pill.dataset.tone = toneOf(status);
  pill.textContent = statusWord(status);
}
