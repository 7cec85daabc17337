// An order's way through its statuses: what has been, what is, what is still ahead. The first half is pure.

import { h } from "./dom.js";
import { moment } from "./format.js";

const PATH = ["Draft", "Activating", "Activated", "Completed"];
const ENDED_BADLY = new Set(["Failed", "Cancelled"]);

const WORDS = {
  Draft: "Received",
  Activating: "Activating",
  Activated: "Active",
  Completed: "Complete",
  Failed: "Failed",
  Cancelled: "Cancelled",
};

export function statusWord(status) {
  return WORDS[status] ?? status;
}

/** How a status feels, for its colour: "moving", "good" or "bad". */
export function toneOf(status) {
  if (ENDED_BADLY.has(status)) return "bad";
  return status === "Activated" || status === "Completed" ? "good" : "moving";
}

/**
 * Adds an update to the history shown, oldest first. One not newer than the last is left out, whichever way it came:
 * the stream, its resume, or a read of the order.
 */
export function withUpdate(history, update) {
  const last = history.at(-1);
  if (last && !(update.version > last.version)) return history;
  return [...history, update];
}

/** The steps of the track: `{status, state, at}` with state "done", "current", "ahead" or "ended". */
export function steps(history) {
  const current = history.at(-1)?.status ?? "Draft";
  const seen = new Map(history.map((update) => [update.status, update.timestamp]));
  const step = (status, state) => ({ status, state, at: seen.get(status) ?? null });
  const place = PATH.indexOf(current);
  if (place >= 0) return PATH.map((status, i) => step(status, stateAt(i, place)));
  const before = PATH.filter((status) => status === "Draft" || seen.has(status));
  return [...before.map((status) => step(status, "done")), step(current, ENDED_BADLY.has(current) ? "ended" : "current")];
}

function stateAt(index, place) {
  if (index === place) return place === PATH.length - 1 ? "done" : "current";
  return index < place ? "done" : "ahead";
}

const STATE_WORDS = { done: "done", current: "now", ahead: "still ahead", ended: "ended here" };

export function track(history) {
  return h(
    "ol",
    { class: "track", "aria-label": "Where the order stands" },
    steps(history).map(({ status, state, at }) =>
      h(
        "li",
        { "data-status": status, "data-state": state, "aria-current": state === "current" ? "step" : null },
        h("span", { class: "disc", "aria-hidden": "true" }),
        h("span", { class: "step-name" }, statusWord(status), h("span", { class: "hidden" }, `, ${STATE_WORDS[state]}`)),
        at && h("time", { datetime: at }, moment(at)),
      ),
    ),
  );
}

/** What happened so far, newest first, in sentences. */
export function story(history) {
  return h(
    "ol",
    { class: "story", reversed: true },
    [...history].reverse().map((update) =>
      h(
        "li",
        { "data-status": update.status, "data-version": update.version },
        h("time", { datetime: update.timestamp }, moment(update.timestamp)),
        h("span", { class: "story-status" }, statusWord(update.status)),
        update.message && h("span", { class: "quiet" }, update.message),
      ),
    ),
  );
}
