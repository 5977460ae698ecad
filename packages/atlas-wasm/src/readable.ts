// A ReadableStream of a source of bytes. One job: pull-driven, so that nothing is asked of the source unless somebody reads; and a stream
// that is thrown away unread lets its source go.
//
// What lives exactly as long as the stream is the object that it was made of (a browser may drop a stream's or a controller's script
// object while the stream goes on), so that one is watched, and the source must not hold it.
import type { ByteSource } from "./incoming.js";

type Controller = ReadableByteStreamController | ReadableStreamDefaultController<Uint8Array>;

/** Why a stream failed, once it has. */
export interface Failure {
  failed: boolean;
  why: unknown;
}

const failures = new WeakMap<ReadableStream, Failure>();
export const failureOf = (stream: ReadableStream): Failure | undefined => failures.get(stream);

export function streamOf(body: ByteSource): ReadableStream<Uint8Array> {
  const failure: Failure = { failed: false, why: undefined };
  const source = new Underlying(body, failure);
  body.whenFailed = tellThrough(new WeakRef(source), failure);
  abandoned?.register(source, body);
  const stream = bytesSupported() ? new ReadableStream(source as UnderlyingByteSource) : new ReadableStream(new Plain(source), { highWaterMark: 0 });
  failures.set(stream, failure);
  return stream;
}

class Underlying {
  readonly type = "bytes";
  controller: Controller | undefined;
  #body: ByteSource;
  #failure: Failure;

  constructor(body: ByteSource, failure: Failure) {
    this.#body = body;
    this.#failure = failure;
  }

  start(controller: Controller): void {
    this.controller = controller;
  }

  pull(controller: Controller): void | Promise<void> {
    try {
      const pulled = this.#pull(controller);
      return pulled instanceof Promise ? pulled.catch((why: unknown) => this.#fail(why)) : pulled;
    } catch (why) {
      return this.#fail(why);
    }
  }

  #fail(why: unknown): never {
    note(this.#failure, why);
    throw why;
  }

  #pull(controller: Controller): void | Promise<void> {
    const place = "byobRequest" in controller ? controller.byobRequest : undefined;
    if (place?.view) return this.#fill(place as ReadableStreamBYOBRequest & { view: Uint8Array }, controller);
    const piece = this.#body.read();
    return piece instanceof Promise ? piece.then(later => give(controller, later)) : give(controller, piece);
  }

  cancel(why: unknown): void {
    this.#body.cancel(why);
  }

  #fill(place: ReadableStreamBYOBRequest & { view: Uint8Array }, controller: Controller): void | Promise<void> {
    const { buffer, byteOffset, byteLength } = place.view;
    const told = (n: number): void => {
      if (!n) controller.close();
      place.respond(n);
    };
    const n = this.#body.readInto(new Uint8Array(buffer, byteOffset, byteLength));
    return n instanceof Promise ? n.then(told) : told(n);
  }
}

/** For platforms without byte streams. */
class Plain implements UnderlyingDefaultSource<Uint8Array> {
  #source: Underlying;

  constructor(source: Underlying) {
    this.#source = source;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#source.start(controller);
  }

  pull(controller: ReadableStreamDefaultController<Uint8Array>): void | Promise<void> {
    return this.#source.pull(controller);
  }

  cancel(why: unknown): void {
    this.#source.cancel(why);
  }
}

function give(controller: Controller, piece: Uint8Array | undefined): void {
  if (piece) controller.enqueue(piece as Uint8Array<ArrayBuffer>);
  else controller.close();
}

/* In a scope of its own: a closure holds all that its neighbours hold. */
const tellThrough = (source: WeakRef<Underlying>, failure: Failure) => (why: unknown): void => {
  note(failure, why);
  source.deref()?.controller?.error(why);
};

function note(failure: Failure, why: unknown): void {
  if (failure.failed) return;
  failure.failed = true;
  failure.why = why;
}

/* A stream that nobody reads to its end would keep its connection busy for ever. */
const abandoned = typeof FinalizationRegistry === "function" ? new FinalizationRegistry<ByteSource>(body => body.cancel(undefined)) : undefined;

let bytes: boolean | undefined;

function bytesSupported(): boolean {
  if (bytes !== undefined) return bytes;
  try {
    new ReadableStream({ type: "bytes" });
    bytes = true;
  } catch {
    bytes = false;
  }
  return bytes;
}
