// Money, moments and ages as people read them. Amounts stay decimal strings up to here.

const LOCALE = "en";

const moneyFormats = new Map();

/** "4980.00", "JPY" becomes ¥4,980; the currency's own number of decimals, more only where the amount has them. */
export function money(amount, currency) {
  if (amount === null || amount === undefined) return "–";
  const places = /\.\d*[1-9]/.test(amount) ? 2 : 0;
  const key = `${currency} ${places}`;
  if (!moneyFormats.has(key)) moneyFormats.set(key, moneyFormat(currency, places));
  // A string, not a Number: Intl formats decimal strings exactly.
  return moneyFormats.get(key).format(amount);
}

function moneyFormat(currency, places) {
  const usual = new Intl.NumberFormat(LOCALE, { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  return new Intl.NumberFormat(LOCALE, {
    style: "currency",
    currency,
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: usual,
    maximumFractionDigits: Math.max(usual, places),
  });
}

const relative = new Intl.RelativeTimeFormat(LOCALE, { style: "narrow", numeric: "always" });
const STEPS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86_400, 3600, "hour"],
  [Infinity, 86_400, "day"],
];

/** An age in seconds as "now", "12s ago", "4min ago". */
export function ago(seconds) {
  if (seconds < 1) return "now";
  const [, size, unit] = STEPS.find(([below]) => seconds < below);
  return relative.format(-Math.floor(seconds / size), unit);
}

const clock = new Intl.DateTimeFormat(LOCALE, { timeStyle: "medium", hourCycle: "h23" });
const date = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });

export function timeOfDay(iso) {
  return clock.format(new Date(iso));
}

export function day(iso) {
  return date.format(new Date(iso));
}

/** The time of day for a moment of today, else its date. */
export function moment(iso, now = new Date()) {
  const at = new Date(iso);
  return at.toDateString() === now.toDateString() ? timeOfDay(iso) : day(iso);
}
