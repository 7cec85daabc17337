// One order, followed as it moves. Its status comes by the stream alone; reads say only what the order holds.

import { Problem, read } from "../api.js";
import { fill, h } from "../dom.js";
import { day, money } from "../format.js";
import { connectionLine } from "../live.js";
import { problemNotice } from "../ordering.js";
import { smallPrint } from "../provenance.js";
import { statusWord, story, toneOf, track, withUpdate } from "../track.js";
import { watchOrder } from "../umbra-orders.js";

/** `placed` is the answer to the order just made, where there was one. */
export function orderView({ orderId, placed, signal, signedOut }) {
  const connection = connectionLine();
  const number = h("h1", { tabindex: "-1" }, titleOf(placed));
  const progress = h("section", { class: "panel progress", "aria-label": "Status" });
  const contents = h("section", { class: "panel", "aria-labelledby": "contents-title" });
  const past = h("section", { class: "panel", "aria-labelledby": "past-title" });
  let history = [];
  showStatus();
  showContents(placed ?? {});
  load();
  const watch = watchOrder(orderId, { onUpdate: take, onStatus: heard });
  signal.addEventListener("abort", () => watch.close());
  return h(
    "div",
    { class: "order", "data-order": orderId },
    h("p", { class: "back" }, h("a", { href: "#/orders" }, "All orders")),
    h("div", { class: "page-head" }, number, connection.element),
    progress,
    h("div", { class: "two" }, contents, past),
  );

  function take(update) {
    const next = withUpdate(history, update);
    if (next === history) return;
    history = next;
    showStatus();
  }

  function heard(status) {
    if (status.reason === "signed-out") return signedOut();
    connection.show(status);
  }

  async function load() {
    const headers = placed?.receipt ? { "Umbra-Wait-For": placed.receipt } : {};
    try {
      const { body, provenance } = await read(`/orders/${encodeURIComponent(orderId)}`, { signal, headers });
      number.textContent = titleOf(body);
      showContents(body, provenance);
    } catch (problem) {
      if (!(problem instanceof Problem)) return;
      if (problem.status === 401) return signedOut();
      if (!placed) fill(contents, problemNotice(problem, load));
    }
  }

  function showStatus() {
    const latest = history.at(-1);
    const tone = latest ? toneOf(latest.status) : "moving";
    fill(
      progress,
      h(
        "p",
        { class: "now", role: "status", "data-tone": tone, "data-status": latest?.status ?? "" },
        h("strong", null, latest ? statusWord(latest.status) : "Asking where your order stands…"),
        latest?.message && h("span", { class: "quiet" }, latest.message),
      ),
      track(history),
    );
    fill(past, h("h2", { id: "past-title" }, "Since you opened this page"), story(history));
  }

  /** Lines come only with the answer to the order itself: the shadow holds orders, not what is in them. */
  function showContents(order, provenance = null) {
    const lines = order.lines ?? placed?.lines;
    fill(
      contents,
      h("h2", { id: "contents-title" }, lines ? "In this order" : "About this order"),
      lines && h("ul", { class: "lines" }, lines.map((line) => lineRow(line, order.currency))),
      order.createdAt && h("p", { class: "fact" }, h("span", null, "Placed"), h("span", null, day(order.createdAt))),
      order.totalAmount &&
        h("p", { class: "fact" }, h("span", null, "Total"), h("strong", null, money(order.totalAmount, order.currency))),
      provenance && smallPrint(provenance),
    );
  }
}

function titleOf(order) {
  return order?.orderNumber ? `Order ${order.orderNumber}` : "Order";
}

function lineRow(line, currency) {
  return h(
    "li",
    null,
    h("span", null, line.name ?? line.sku, line.quantity > 1 && ` × ${line.quantity}`),
    h("span", { class: "order-total" }, money(line.unitPrice, currency)),
  );
}
