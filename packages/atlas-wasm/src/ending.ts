// Why the bridge is not there any more. One job: from Close codes, statuses and the bridge's words to an error that says what to do; pure.
import { closedError, proxyError, type AtlsError } from "./errors.js";
import { withoutSecrets } from "./text.js";
import type { TransportEnd } from "./transport.js";

/* The bridge's tokens (docs/bridge.md, "Refusals and Close codes"), as Close reasons and as {"error"} of an HTTP refusal. */
const meanings: Record<string, string> = {
  "target-not-allowed": "the target is not on the proxy's allowlist: add it there, or correct targetHost",
  "no-target": "the proxy was told no target and has no default",
  "dns-failure": "the target's name does not resolve, seen from the proxy",
  "connect-refused": "the target refuses connections: is the endpoint running, on that port?",
  "connect-timeout": "the target does not answer the proxy",
  "network-unreachable": "the proxy has no route to the target",
  "target-reset": "the target reset the connection",
  "address-denied": "the target's name resolves to an address that the proxy refuses",
  "origin-refused": "the proxy does not admit pages of this origin",
  "host-refused": "the proxy is not known by this name",
  "address-refused": "the proxy does not admit this client's address",
  unauthorized: "the proxy wants a credential, or another one",
  "subprotocol-refused": "the proxy knows none of the offered subprotocols",
  overloaded: "the proxy has no room for more connections: try later",
  "address-limit": "too many connections from this address: try later",
  "rate-exceeded": "too many connections in a short time: try later",
  draining: "the proxy is shutting down",
  "max-lifetime": "the connection reached the proxy's age limit",
  "idle-timeout": "no data for too long",
  "first-data-timeout": "no data for too long",
  "bytes-exceeded": "the connection reached the proxy's byte limit",
  "allowlist-changed": "the target was taken off the proxy's allowlist",
};

/* What only another configuration cures. */
const lasting = new Set(["target-not-allowed", "no-target", "address-denied", "origin-refused", "host-refused", "address-refused",
  "unauthorized", "subprotocol-refused", "allowlist-changed"]);

const word = (end: TransportEnd): string => end.reason.trim().toLowerCase().replace(/\s+/g, "-");

/** The target itself went away, in good order: the bridge only passes it on. */
export const targetClosed = (end: TransportEnd): boolean => word(end) === "target-closed" || (end.code === 1000 && !end.reason);

function told(end: TransportEnd): string {
  const code = end.status ? `status ${end.status}` : `code ${end.code}`;
  const meaning = meanings[word(end)];
  return `${code}${end.reason ? ` ${end.reason}` : ""}${meaning ? `: ${meaning}` : ""}`;
}

/** Before the verdict. opened: the WebSocket was there. */
export function notConnected(url: string, end: TransportEnd, opened: boolean): AtlsError {
  const proxy = withoutSecrets(url);
  const cause = end.cause instanceof Error && end.cause.message ? ` (${end.cause.message.replaceAll(url, proxy)})` : "";
  const refused = end.status !== undefined || (opened && end.code !== 1006);
  let message: string;
  if (refused) {
    message = `proxy connection refused: ${proxy} said ${told(end)}`;
  } else if (opened) {
    message = `proxy connection lost: the WebSocket to ${proxy} broke before the endpoint was attested${cause}`;
  } else {
    message = `proxy connection failed: no WebSocket to ${proxy}${cause}: is the proxy running, is its certificate good, and does connect-src of the page's Content-Security-Policy permit it?`;
  }
  const code = refused ? "proxy_refused" : opened ? "proxy_lost" : "proxy_unreachable";
  return proxyError(code, message, !lasting.has(word(end)), end.cause);
}

/** With a request or a stream under way. */
export function closedMidway(end: TransportEnd): AtlsError {
  return closedError(`connection closed midway: ${targetClosed(end) ? "the endpoint ended it" : `the proxy ended it, ${told(end)}`}`, end.cause);
}
