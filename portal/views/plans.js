// The catalog for one customer: internet plans for the line, SIM and VPN plans for anyone.

import { Problem, read } from "../api.js";
import { fill, h } from "../dom.js";
import { ago, money } from "../format.js";
import { confirmOrder, problemNotice } from "../ordering.js";
import { ageOf, isStale, provenanceLine, runningAge, smallPrint } from "../provenance.js";

const KINDS = {
  internet: { name: "Internet", path: "/catalog/plans/internet" },
  sim: { name: "SIM", path: "/catalog/products?class=SIM" },
  vpn: { name: "VPN", path: "/catalog/products?class=VPN" },
};
const CURRENCIES = ["JPY", "USD"];
const SHOWN_AT_ONCE = 24;

export function plansView({ kind, account, signal, go, signedOut }) {
  const chosen = KINDS[kind] ?? KINDS.internet;
  const cards = h("div", { class: "results", "aria-busy": "true" }, ghosts());
  const said = h("p", { class: "hidden", role: "status" });
  const reload = h("button", { class: "secondary reload", type: "button", onclick: load }, reloadMark(), "Refresh");
  let currency = storedCurrency();
  let answer = null;
  load();
  return h(
    "div",
    null,
    h(
      "div",
      { class: "page-head" },
      h("h1", { tabindex: "-1" }, "Plans"),
      h("div", { class: "tools" }, currencySwitch(), reload),
    ),
    tabs(chosen),
    said,
    cards,
  );

  async function load() {
    // Not disabled, which would take the focus away from whoever pressed it.
    if (reload.getAttribute("aria-busy") === "true") return;
    setBusy("true");
    try {
      answer = await read(chosen.path, { signal });
      show();
    } catch (problem) {
      if (!(problem instanceof Problem)) return;
      if (problem.status === 401) return signedOut();
      fill(cards, problemNotice(problem, load));
    } finally {
      setBusy("false");
    }
  }

  function setBusy(busy) {
    for (const element of [reload, cards]) element.setAttribute("aria-busy", busy);
  }

  function show() {
    const { body, provenance } = answer;
    const products = body.plans ?? body.products;
    said.textContent = `${products.length} ${chosen.name} plans, ${ago(ageOf(provenance))}`;
    fill(
      cards,
      isStale(provenance) && staleNotice(provenance),
      body.eligibility && lineOf(body.eligibility),
      products.length === 0 ? emptyNotice(body.eligibility) : grid(products),
      smallPrint(provenance),
    );
  }

  function grid(products, limit = SHOWN_AT_ONCE) {
    const list = h("ul", { class: "cards" }, products.slice(0, limit).map((product) => h("li", null, card(product))));
    if (products.length <= limit) return list;
    const more = h("button", { class: "secondary", type: "button" }, `Show all ${products.length}`);
    const both = h("div", { class: "stack" }, list, more);
    more.addEventListener("click", () => both.replaceWith(grid(products, Infinity)));
    return both;
  }

  function card(product) {
    const { provenance } = answer;
    const price = product.prices.find((each) => each.currency === currency);
    return h(
      "article",
      { class: isStale(provenance) ? "card stale" : "card", "data-sku": product.sku },
      h("p", { class: "eyebrow" }, product.planTier ?? product.vpnRegion ?? product.offeringType),
      h("h2", null, product.name),
      product.extra?.description && h("p", { class: "quiet" }, product.extra.description),
      priceTag(price),
      h(
        "button",
        {
          class: "primary",
          type: "button",
          disabled: !price,
          "aria-label": `Order ${product.name}`,
          onclick: () =>
            confirmOrder({
              product,
              price,
              accountId: account.accountId,
              placed: (order) => go(`#/orders/${order.orderId}`, order),
            }),
        },
        "Order",
      ),
      provenanceLine(provenance),
    );
  }

  function priceTag(price) {
    if (!price) return h("p", { class: "price none" }, `No price in ${currency}`);
    return h(
      "p",
      { class: "price" },
      h("span", { class: "amount" }, money(price.unitPrice, price.currency)),
      h("span", { class: "per" }, "a month"),
    );
  }

  function currencySwitch() {
    const option = (code) =>
      h(
        "label",
        null,
        h("input", { type: "radio", name: "currency", value: code, checked: code === currency, onchange: choose }),
        h("span", null, code),
      );
    return h("fieldset", { class: "switch" }, h("legend", { class: "hidden" }, "Currency"), CURRENCIES.map(option));
  }

  function choose(event) {
    currency = event.target.value;
    localStorage.setItem("umbra.currency", currency);
    if (answer) show();
  }
}

function storedCurrency() {
  const stored = localStorage.getItem("umbra.currency");
  return CURRENCIES.includes(stored) ? stored : CURRENCIES[0];
}

function tabs(chosen) {
  return h(
    "nav",
    { class: "tabs", "aria-label": "Kinds of plan" },
    Object.entries(KINDS).map(([key, kind]) =>
      h("a", { href: `#/plans/${key}`, "aria-current": kind === chosen ? "page" : null }, kind.name),
    ),
  );
}

/** What is known of the customer's line, with the age of that knowledge. */
function lineOf({ internetEligibility, eligibilitySource }) {
  return h(
    "p",
    { class: "line" },
    h("span", { class: "quiet" }, "Your line"),
    h("strong", { "data-eligibility": internetEligibility ?? "" }, internetEligibility ?? "not checked yet"),
    eligibilitySource && h("span", { class: "quiet" }, `by ${eligibilitySource.toLowerCase()}`),
  );
}

function staleNotice(provenance) {
  return h(
    "p",
    { class: "notice stale-notice", role: "status" },
    "Salesforce does not answer. This is what was known ",
    runningAge(provenance),
    "; prices may have changed since, and orders may have to wait.",
  );
}

const NO_PLANS = {
  Pending: "Your line is being checked. Plans appear here when the check is done.",
  "Not Eligible": "There is no internet plan for your line. SIM and VPN plans work everywhere.",
};

function emptyNotice(eligibility) {
  const words = eligibility
    ? (NO_PLANS[eligibility.internetEligibility] ?? "Your line has not been checked yet, so there is no plan to show.")
    : "There is nothing on sale here at the moment.";
  return h("p", { class: "empty" }, words);
}

function ghosts() {
  const ghost = () => h("li", { class: "card ghost" }, h("span"), h("span"), h("span"));
  return h("ul", { class: "cards", "aria-hidden": "true" }, ghost(), ghost(), ghost());
}

function reloadMark() {
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  mark.setAttribute("viewBox", "0 0 16 16");
  mark.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M13.2 5.5A5.8 5.8 0 1 0 13.8 8.6M13.6 1.9v3.9H9.7");
  mark.append(path);
  return mark;
}
