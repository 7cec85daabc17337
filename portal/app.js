// The shell: who is signed in, which page the address names, and what belongs to it while it is shown.

import { Problem, read, write } from "./api.js";
import { fill } from "./dom.js";
import { problemNotice } from "./ordering.js";
import { keepAges } from "./provenance.js";
import { orderView } from "./views/order.js";
import { ordersView } from "./views/orders.js";
import { plansView } from "./views/plans.js";
import { signInView } from "./views/signin.js";

const main = document.querySelector("#main");
const sections = document.querySelector(".sections");
const who = document.querySelector(".who");

let account = null;
let leaving = new AbortController();
let justPlaced = null;

async function start() {
  keepAges();
  document.querySelector("[data-action=sign-out]").addEventListener("click", signOut);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  try {
    account = (await read("/identity/me")).body;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status !== 401) return fill(main, problemNotice(problem, () => location.reload()));
  }
  addEventListener("hashchange", show);
  show();
}

/** Shows the page that the address names, after ending whatever the page before it had running. */
function show(event) {
  leaving.abort();
  leaving = new AbortController();
  const page = account ? pageOf(location.hash) : signInPage();
  showShell(page.section);
  document.title = `${page.title} · Umbra`;
  fill(main, page.make());
  // A person who moved here by a link goes on reading at the page's heading, not at the link.
  if (event) main.querySelector("h1")?.focus({ preventScroll: true });
  if (event) scrollTo(0, 0);
}

function pageOf(hash) {
  const [section, part] = hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const context = { account, signal: leaving.signal, go, signedOut };
  if (section === "orders" && part) {
    const placed = justPlaced?.orderId === part ? justPlaced : null;
    return { section, title: "Order", make: () => orderView({ ...context, orderId: part, placed }) };
  }
  if (section === "orders") return { section, title: "Orders", make: () => ordersView(context) };
  return { section: "plans", title: "Plans", make: () => plansView({ ...context, kind: part }) };
}

function signInPage(reason = null) {
  const context = { signal: leaving.signal, reason, signedIn };
  return { section: null, title: "Sign in", make: () => signInView(context) };
}

function showShell(section) {
  sections.hidden = who.hidden = !account;
  who.querySelector(".who-name").textContent = account?.name ?? "";
  for (const link of sections.children) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function go(hash, order = null) {
  justPlaced = order;
  location.hash = hash;
}

function signedIn(customer) {
  account = customer;
  show(true);
}

/** The session ended by itself. */
function signedOut() {
  account = null;
  leaving.abort();
  leaving = new AbortController();
  showShell(null);
  fill(main, signInPage("Your session has ended. Sign in again to go on.").make());
}

async function signOut() {
  await write("/identity/logout", {}).catch(() => null);
  account = null;
  history.replaceState(null, "", "#/");
  show(true);
}

start();
