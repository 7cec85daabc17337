// Reads and writes over HTTP. An answer is its body with its provenance; a failure is a Problem in plain words.

const TIMEOUT_MS = 20_000;

/** Something went wrong. `message` is for the reader; `sure` is false when the server may have acted all the same. */
export class Problem extends Error {
  constructor(message, { status = 0, detail = "", retryAfter = null, sure = true } = {}) {
    super(message);
    Object.assign(this, { status, detail, retryAfter, sure });
  }
}

/** `{body, provenance}` of a GET. The browser's own cache is always asked to check: a price must not outlive its edit. */
export async function read(path, { signal, headers = {} } = {}) {
  const response = await send(path, { cache: "no-cache", signal, headers });
  return { body: await response.json(), provenance: provenanceOf(response.headers) };
}

/** `{body, receipt}` of a POST; the receipt makes a read that carries it hold the write. */
export async function write(path, body, { headers = {}, signal } = {}) {
  const response = await send(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
  return {
    body: response.status === 204 ? null : await response.json(),
    receipt: response.headers.get("Umbra-Wait-For"),
  };
}

async function send(path, { signal, ...options }) {
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(path, { ...options, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem("Umbra did not answer. Check your connection, or wait a moment and try again.", { sure: false });
  }
  if (!response.ok) throw await problemOf(response, options.method === "POST");
  return response;
}

function provenanceOf(headers) {
  return {
    source: headers.get("Umbra-Source") ?? "unknown",
    asOf: headers.get("Umbra-As-Of"),
    age: Number(headers.get("Age") ?? 0),
    instance: headers.get("Umbra-Instance"),
    trace: headers.get("Umbra-Trace"),
    receivedAt: performance.now(),
  };
}

const WORDS = {
  400: "Umbra did not understand this request.",
  401: "Your session has ended. Sign in again.",
  403: "This account may not do that.",
  404: "We could not find what you asked for.",
  409: "This has changed in the meantime. Reload the page and look again.",
  422: "This order cannot be placed as it is.",
  429: "That was a little too often. Wait a moment and try again.",
};
const AWAY_READ = "The catalog cannot be read right now. It comes back by itself; try again in a moment.";
const AWAY_WRITE = "Orders cannot be placed right now, because the order desk does not answer. Nothing was ordered.";
const UNSURE = "We did not hear back, so the order may or may not have gone through. Try again: it will never be placed twice.";

async function problemOf(response, writing) {
  const told = await response.json().catch(() => ({}));
  const away = response.status >= 500;
  // Only the gateway's own 503 says that nothing happened, unless it says that it does not know; a proxy never knows.
  const known = Boolean(told.title) && told.type !== "urn:umbra:problem:unknown-outcome";
  const sure = !away || (response.status === 503 && known);
  return new Problem(away ? awayWords(writing, sure) : (WORDS[response.status] ?? "That did not work."), {
    status: response.status,
    detail: told.detail ?? "",
    retryAfter: Number(response.headers.get("Retry-After")) || null,
    sure,
  });
}

function awayWords(writing, sure) {
  if (!writing) return AWAY_READ;
  return sure ? AWAY_WRITE : UNSURE;
}
