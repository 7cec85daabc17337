// Placing an order once, however often it has to be tried.

import { write } from "./api.js";
import { h, fill } from "./dom.js";
import { money } from "./format.js";

/**
 * The key under which this order is placed. It outlives a failed try, a closed dialog and a reload of the tab,
 * and is forgotten when the answer is final: a retry then finds the order that an unheard answer made.
 */
export class OrderKey {
  constructor(accountId, sku, currency, storage = sessionStorage) {
    this.name = `umbra.order-key.${accountId}.${sku}.${currency}`;
    this.storage = storage;
  }

  get() {
    const kept = this.storage.getItem(this.name) ?? crypto.randomUUID();
    this.storage.setItem(this.name, kept);
    return kept;
  }

  forget() {
    this.storage.removeItem(this.name);
  }
}

/** Posts the order. Throws a Problem; the key stays for the next try unless the answer was final. */
export async function place(line, currency, key) {
  try {
    const headers = { "Idempotency-Key": key.get() };
    const { body, receipt } = await write("/orders", { lines: [line], currency }, { headers });
    key.forget();
    return { ...body, receipt };
  } catch (problem) {
    if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) key.forget();
    throw problem;
  }
}

/** Asks before ordering; `placed(order)` is called once there is one. */
export function confirmOrder({ product, price, accountId, placed }) {
  const key = new OrderKey(accountId, product.sku, price.currency);
  const trouble = h("div", { role: "alert" });
  const submit = h("button", { class: "primary", type: "submit" }, "Place order");
  const dialog = h(
    "dialog",
    { class: "confirm", "aria-labelledby": "confirm-title", onclose: () => dialog.remove() },
    h(
      "form",
      { method: "dialog", onsubmit: attempt },
      h("h2", { id: "confirm-title" }, "Order this plan?"),
      h("p", { class: "confirm-line" }, h("span", null, product.name), h("strong", null, money(price.unitPrice, price.currency))),
      h("p", { class: "quiet" }, "Per month, at the price shown. You can follow the order as it moves."),
      trouble,
      h(
        "div",
        { class: "confirm-actions" },
        h("button", { class: "plain", type: "button", onclick: () => dialog.close() }, "Not now"),
        submit,
      ),
    ),
  );

  async function attempt(event) {
    event.preventDefault();
    submit.disabled = true;
    fill(trouble);
    try {
      const order = await place({ sku: product.sku, quantity: 1 }, price.currency, key);
      dialog.close();
      placed(order);
    } catch (problem) {
      submit.disabled = false;
      submit.textContent = "Try again";
      submit.focus();
      fill(trouble, problemNotice(problem));
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  submit.focus();
}

/** A problem in plain words, with what the server added in small print. */
export function problemNotice(problem, again = null) {
  const wait = problem.retryAfter ? ` Umbra suggests waiting ${problem.retryAfter} s.` : "";
  return h(
    "div",
    { class: "notice bad" },
    h("p", null, problem.message + wait),
    problem.detail && h("p", { class: "small-print" }, problem.detail),
    again && h("button", { class: "secondary", type: "button", onclick: again }, "Try again"),
  );
}
