// Where an answer came from and how old it is, kept up to date on the page while it is looked at.

import { h } from "./dom.js";
import { ago, timeOfDay } from "./format.js";

const SOURCES = {
  process: ["Memory", "From the memory of the gateway that answered"],
  valkey: ["Cache", "From the cache that all gateways share"],
  shadow: ["Shadow", "From the shadow copy of Salesforce"],
  live: ["Live", "Read from Salesforce just now"],
  stale: ["Last known", "Salesforce does not answer; this is the last that is known"],
  unknown: ["Unknown", "The answer does not say where it came from"],
};

export function isStale(provenance) {
  return provenance.source === "stale";
}

/** Seconds since the answer was true. Counted on this page's own steady clock, so a wrong wall clock does no harm. */
export function ageOf(provenance, now = performance.now()) {
  return provenance.age + (now - provenance.receivedAt) / 1000;
}

/** One quiet line: a dot, the source's name, a running age. */
export function provenanceLine(provenance) {
  const [name, meaning] = SOURCES[provenance.source] ?? [provenance.source, ""];
  return h(
    "p",
    { class: "provenance", "data-source": provenance.source, title: meaning },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("span", { class: "source" }, name),
    runningAge(provenance),
  );
}

/** The same in words, and who answered. */
export function smallPrint(provenance) {
  const [, meaning] = SOURCES[provenance.source] ?? SOURCES.unknown;
  const parts = [`${meaning}.`, provenance.asOf && `As of ${timeOfDay(provenance.asOf)}`, provenance.instance];
  return h(
    "p",
    { class: "small-print", "data-instance": provenance.instance, "data-trace": provenance.trace },
    parts.filter(Boolean).join(" · ").replace(". · ", ". "),
  );
}

export function runningAge(provenance) {
  const element = h("time", { class: "age", datetime: provenance.asOf }, ago(ageOf(provenance)));
  ages.set(element, provenance);
  return element;
}

// Elements that left the page are collected with their entry.
const ages = new WeakMap();

/** Renews every age on the page once a second, until `signal` aborts. Asks nobody anything. */
export function keepAges(signal) {
  const timer = setInterval(() => {
    for (const element of document.querySelectorAll("time.age")) {
      const provenance = ages.get(element);
      if (provenance) element.textContent = ago(ageOf(provenance));
    }
  }, 1000);
  signal?.addEventListener("abort", () => clearInterval(timer));
}
