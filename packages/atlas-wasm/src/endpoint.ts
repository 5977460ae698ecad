// What a connection needs to know, from what the caller wrote. One job: defaults, and options checked before anything is opened.
import type { Endpoint } from "./connection.js";
import { flag } from "./environment.js";
import { simulationAllowed } from "./init.js";
import { jsonText } from "./text.js";
import type { AtlsPolicy, ConnectOptions } from "./types.js";

const CONNECT_MS = 10_000;
const ATTEST_MS = 30_000;
const COLLATERAL_MS = 30_000;

export function endpointOf(
  where: { wsUrl: string; serverName: string; host: string }, policy: AtlsPolicy | string | undefined | null, options: ConnectOptions,
): Endpoint {
  if (!policy || (typeof policy !== "object" && typeof policy !== "string")) {
    throw new TypeError("policy is required for aTLS verification. See docs for policy format.");
  }
  const { timeouts = {} } = options;
  oneOf(options.transport, ["auto", "websocket", "websocketstream"], "transport");
  oneOf(options.collateral?.cache, ["indexeddb", "memory", "none"], "collateral.cache");
  return {
    ...where,
    policy: jsonText(policy),
    roots: pem(options.roots, "roots"),
    extraRoots: pem(options.extraRoots, "extraRoots"),
    simulation: flag(options.simulation, "simulation") ?? simulationAllowed(),
    connectMs: limit(timeouts.connect, CONNECT_MS, "timeouts.connect"),
    attestMs: limit(timeouts.attest, ATTEST_MS, "timeouts.attest"),
    collateralMs: limit(timeouts.collateral, COLLATERAL_MS, "timeouts.collateral"),
    collateral: options.collateral,
    transport: options.transport,
    WebSocket: options.WebSocket,
    protocols: options.protocols,
    maxBufferedBytes: options.maxBufferedBytes === undefined ? undefined : limit(options.maxBufferedBytes, 0, "maxBufferedBytes"),
  };
}

function oneOf(given: string | undefined, known: string[], what: string): void {
  if (given === undefined || known.includes(given)) return;
  throw new TypeError(`${what} must be one of ${known.map(word => JSON.stringify(word)).join(", ")}, not ${JSON.stringify(given)}`);
}

/** Milliseconds or a number of things. */
export function limit(given: number | undefined, otherwise: number, what: string, least = 0): number {
  if (given === undefined) return otherwise;
  if (typeof given === "number" && given >= least) return given;
  throw new TypeError(`${what} must be a number, ${least} at least`);
}

function pem(given: string | undefined, what: string): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "string" && given.includes("-----BEGIN CERTIFICATE-----")) return given;
  throw new TypeError(`${what} must be certificates in PEM`);
}
