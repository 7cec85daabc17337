// The connection to the order streams as the page tells of it: one quiet line, and who serves it.

import { h, fill } from "./dom.js";

const WORDS = {
  connecting: "Connecting",
  open: "Live",
  reconnecting: "Reconnecting",
  closed: "Not connected",
  done: "Finished",
};

/** `{element, show}`: `show` takes what the order client reports of its connection. */
export function connectionLine() {
  const element = h("p", { class: "connection", role: "status" });
  const show = ({ state, instance, resume }) => {
    element.dataset.state = state;
    if (instance) element.dataset.instance = instance;
    if (resume) element.dataset.resume = resume;
    const served = [element.dataset.instance, element.dataset.resume].filter(Boolean).join(" · ");
    fill(
      element,
      h("span", { class: "dot", "aria-hidden": "true" }),
      h("span", { class: "connection-word" }, WORDS[state] ?? state),
      served && h("span", { class: "small-print", "aria-hidden": "true" }, served),
    );
  };
  show({ state: "connecting" });
  return { element, show };
}
