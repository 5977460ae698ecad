// fetch, through an attested connection. One job: createAtlsFetch.
import { addressOf } from "./address.js";
import { Client, type ClientRequest } from "./client.js";
import { endpointOf, limit } from "./endpoint.js";
import { isProduction, pageUrl } from "./environment.js";
import type { AnswerHead } from "./exchange.js";
import type { ByteSource } from "./incoming.js";
import type { Proof } from "./proof.js";
import { prepare } from "./request.js";
import { makeResponse } from "./response.js";
import type { AtlsFetch, AtlsFetchOptions, AtlsResponse } from "./types.js";
import { WorkerClient } from "./worker-client.js";

/** Who sends requests: here, or in a worker. */
export interface Sender {
  send(request: ClientRequest): Promise<{ head: AnswerHead; body: ByteSource; proof: Proof }>;
  warmup(): Promise<Proof>;
  close(): void;
}

const MAX_CONNECTIONS = 6;
const MAX_REQUESTS = 100; // what servers grant one connection, as a rule
const IDLE_MS = 55_000; // they close after 60 s
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** A fetch that talks to one attested endpoint: nothing leaves before the policy's verdict, nothing comes back before it. */
export function createAtlsFetch(options: AtlsFetchOptions): AtlsFetch {
  const { base, ...where } = addressOf(options?.proxyUrl, options?.targetHost, options?.serverName, { production: isProduction(), pageUrl: pageUrl() });
  const { defaultHeaders, onAttestation } = options;
  new Headers(defaultHeaders); // throws where they are none
  if (onAttestation !== undefined && typeof onAttestation !== "function") throw new TypeError("onAttestation must be a function");
  const clientOptions = {
    endpoint: endpointOf(where, options.policy, options),
    gate: onAttestation && ((proof: Proof) => onAttestation(proof.summary, { report: () => proof.report(), receipt: () => proof.receipt() })),
    maxConnections: limit(options.maxConnections, MAX_CONNECTIONS, "maxConnections", 1),
    maxRequestsPerConnection: limit(options.maxRequestsPerConnection, MAX_REQUESTS, "maxRequestsPerConnection", 1),
    idleMs: limit(options.idleTimeout, IDLE_MS, "idleTimeout"),
    ttlMs: limit(options.attestationTtl, Infinity, "attestationTtl"),
    responseMs: limit(options.timeouts?.response, 0, "timeouts.response"),
  };
  const sender: Sender = options.worker ? new WorkerClient(options.worker, clientOptions) : new Client(clientOptions);

  const atlsFetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<AtlsResponse> => {
    const { url, head, body, signal, redirect } = await prepare(input, init, base, where.host, defaultHeaders);
    const answer = await sender.send({ head, body, signal });
    if (redirect === "error" && REDIRECTS.has(answer.head.status)) {
      answer.body.cancel(undefined);
      throw new TypeError(`fetch failed: the answer is a redirect (${answer.head.status}), and redirect is "error"`);
    }
    try {
      return makeResponse(url, head.method, answer.head, answer.body, answer.proof);
    } catch (error) {
      answer.body.cancel(undefined);
      throw error;
    }
  };
  return Object.assign(atlsFetch, {
    warmup: async () => (await sender.warmup()).summary,
    close: () => sender.close(),
  });
}
