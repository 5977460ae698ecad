// The Response that callers get. One job: from a head and a source of bytes to the platform's own Response, with the proof on it.
import { AtlsError } from "./errors.js";
import type { AnswerHead, Field } from "./exchange.js";
import type { ByteSource } from "./incoming.js";
import type { Proof } from "./proof.js";
import { failureOf, streamOf, type Failure } from "./readable.js";
import type { AtlsResponse } from "./types.js";

const READERS = (["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const).filter(name => name in Response.prototype);
const NULL_BODY = new Set([204, 205, 304]);

export function makeResponse(url: string, method: string, head: AnswerHead, body: ByteSource, proof: Proof): AtlsResponse {
  const bodiless = method === "HEAD" || NULL_BODY.has(head.status);
  if (bodiless) body.cancel(undefined); // there is none: it is over already
  const stream = bodiless ? null : streamOf(body);
  const response = new Response(stream, {
    status: statusOf(head), statusText: head.reason, headers: headersOf(head.fields),
  });
  return withProof(response, url, proof, stream ? failureOf(stream) : undefined);
}

function withProof(response: Response, url: string, proof: Proof, failure: Failure | undefined): AtlsResponse {
  const hidden = { enumerable: false, configurable: false, writable: false };
  Object.defineProperties(response, {
    url: { ...hidden, value: url },
    attestation: { ...hidden, value: proof.summary },
    attestationReport: { ...hidden, value: () => proof.report() },
    receipt: { ...hidden, value: () => proof.receipt() },
    ...Object.fromEntries(READERS.map(name => [name, { ...hidden, value: () => readBy(response, name, failure) }])),
    clone: { ...hidden, value: () => withProof(Response.prototype.clone.call(response), url, proof, failure) },
  });
  return response as AtlsResponse;
}

/* Chromium tells whoever reads a body that failed that it "failed to fetch"; the stream knows why. */
async function readBy(response: Response, name: (typeof READERS)[number], failure: Failure | undefined): Promise<unknown> {
  try {
    return await (Response.prototype[name] as () => Promise<unknown>).call(response);
  } catch (error) {
    throw failure?.failed ? failure.why : error;
  }
}

function statusOf({ status }: AnswerHead): number {
  if (status >= 200 && status <= 599) return status;
  throw new AtlsError(`Invalid HTTP response: status ${status}`, { category: "response", code: "http_response", number: 101 });
}

function headersOf(fields: readonly Field[]): Headers {
  const headers = new Headers();
  try {
    for (const [name, value] of fields) headers.append(name, value);
  } catch (cause) {
    throw new AtlsError(`Invalid HTTP response: ${cause instanceof Error ? cause.message : "a bad field"}`, {
      category: "response", code: "http_response", number: 101, cause,
    });
  }
  return headers;
}
