// Signing in as one of the sample customers. No password: the accounts are the sandbox's own.

import { read, write } from "../api.js";
import { fill, h } from "../dom.js";
import { problemNotice } from "../ordering.js";

const SHOWN_AT_ONCE = 12;

export function signInView({ signal, signedIn, reason }) {
  const list = h("div", { class: "accounts" }, h("p", { class: "quiet" }, "Fetching the customers…"));
  const trouble = h("div", { role: "alert" });
  load();
  return h(
    "div",
    { class: "welcome" },
    h(
      "div",
      { class: "welcome-words" },
      h("h1", { tabindex: "-1" }, "Your line, your plan, your order as it moves."),
      h("p", { class: "lead" }, "Choose whom to look around as. The customers are samples, so there is no password."),
      reason && h("p", { class: "notice" }, reason),
      eclipse(),
    ),
    h("section", { "aria-labelledby": "accounts-title" }, h("h2", { id: "accounts-title" }, "Sign in as"), trouble, list),
  );

  async function load() {
    try {
      const { body } = await read("/identity/accounts", { signal });
      fill(trouble);
      fill(list, chooser(body.accounts));
    } catch (problem) {
      if (signal.aborted) return;
      fill(list);
      fill(trouble, problemNotice(problem, load));
    }
  }

  function chooser(accounts) {
    if (accounts.length === 0) return h("p", { class: "quiet" }, "There are no customers yet.");
    const rows = h("ul", { class: "account-list" });
    const show = (wanted) => {
      const found = accounts.filter(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
      fill(rows, found.slice(0, SHOWN_AT_ONCE).map(row));
    };
    show("");
    return [accounts.length > SHOWN_AT_ONCE && search(show), rows];
  }

  function search(show) {
    return h(
      "label",
      { class: "search" },
      h("span", null, "Find a customer"),
      h("input", { type: "search", autocomplete: "off", oninput: (event) => show(event.target.value) }),
    );
  }

  function row(account) {
    return h(
      "li",
      null,
      h(
        "button",
        { class: "account", type: "button", "data-account": account.accountId, onclick: () => signIn(account) },
        h("span", { class: "account-name" }, account.name),
        h("span", { class: "quiet" }, account.internetEligibility ?? "Line not checked yet"),
      ),
    );
  }

  async function signIn({ accountId }) {
    try {
      signedIn((await write("/identity/login", { accountId }, { signal })).body);
    } catch (problem) {
      if (!signal.aborted) fill(trouble, problemNotice(problem));
    }
  }
}

/** The page's one picture: a disc about to come out of the shadow. */
function eclipse() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 240 240");
  svg.setAttribute("class", "eclipse");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, x, y, r] of [["ring", 104, 120, 96], ["ring", 104, 120, 84], ["mark-light", 104, 120, 60], ["mark-shadow", 124, 108, 54]]) {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    circle.setAttribute("class", name);
    for (const [key, value] of Object.entries({ cx: x, cy: y, r })) circle.setAttribute(key, value);
    svg.append(circle);
  }
  return svg;
}
