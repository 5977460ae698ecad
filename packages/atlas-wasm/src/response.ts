// The Response that callers get. One job: from a head and a source of bytes to the platform's own Response, with the proof on it.
import type { ByteSource } from "./incoming.js";
import { AtlsError } from "./errors.js";
import type { AnswerHead, Field } from "./exchange.js";
import type { Proof } from "./proof.js";
import type { AtlsResponse } from "./types.js";

const NULL_BODY = new Set([204, 205, 304]);

export function makeResponse(url: string, method: string, head: AnswerHead, body: ByteSource, proof: Proof): AtlsResponse {
  const bodiless = method === "HEAD" || NULL_BODY.has(head.status);
  if (bodiless) body.cancel(undefined); // there is none: it is over already
  const response = new Response(bodiless ? null : streamOf(body), {
    status: statusOf(head), statusText: head.reason, headers: headersOf(head.fields),
  });
  return withProof(response, url, proof);
}

function withProof(response: Response, url: string, proof: Proof): AtlsResponse {
  const hidden = { enumerable: false, configurable: false, writable: false };
  Object.defineProperties(response, {
    url: { ...hidden, value: url },
    attestation: { ...hidden, value: proof.summary },
    attestationReport: { ...hidden, value: () => proof.report() },
    receipt: { ...hidden, value: () => proof.receipt() },
    clone: { ...hidden, value: () => withProof(Response.prototype.clone.call(response), url, proof) },
  });
  return response as AtlsResponse;
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

/** Pull-driven: nothing is asked of the source unless somebody reads. */
export function streamOf(body: ByteSource): ReadableStream<Uint8Array> {
  let stream: ReadableStream<Uint8Array>;
  const tellFailure = (controller: { error(why: unknown): void }): void => {
    const weak = new WeakRef(controller);
    body.whenFailed = why => weak.deref()?.error(why);
  };
  const cancel = (why: unknown): void => body.cancel(why);
  try {
    stream = new ReadableStream({ type: "bytes", start: tellFailure, pull: controller => pullBytes(body, controller), cancel });
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    stream = new ReadableStream<Uint8Array>({ start: tellFailure, pull: controller => pull(body, controller), cancel }, { highWaterMark: 0 });
  }
  abandoned?.register(stream, new WeakRef(body));
  return stream;
}

function pull(body: ByteSource, controller: ReadableStreamDefaultController<Uint8Array>): void | Promise<void> {
  const give = (piece: Uint8Array | undefined): void => (piece ? controller.enqueue(piece) : controller.close());
  const piece = body.read();
  return piece instanceof Promise ? piece.then(give) : give(piece);
}

function pullBytes(body: ByteSource, controller: ReadableByteStreamController): void | Promise<void> {
  const request = controller.byobRequest;
  if (!request?.view) {
    const give = (piece: Uint8Array | undefined): void =>
      piece ? controller.enqueue(piece as Uint8Array<ArrayBuffer>) : controller.close();
    const piece = body.read();
    return piece instanceof Promise ? piece.then(give) : give(piece);
  }
  const { buffer, byteOffset, byteLength } = request.view;
  const told = (n: number): void => {
    if (!n) controller.close();
    request.respond(n);
  };
  const n = body.readInto(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
  return n instanceof Promise ? n.then(told) : told(n);
}

/* A stream that is thrown away unread would keep its connection busy for ever. */
const abandoned = typeof FinalizationRegistry === "function"
  ? new FinalizationRegistry<WeakRef<ByteSource>>(body => body.deref()?.cancel(undefined))
  : undefined;
