// One connection's bytes, between the transport and the module. One job: ciphertext in when somebody wants plaintext, ciphertext out as
// soon as there is some, and one way to end.
//
//   transport ──► inbox ──► feedNext ──► the module ──► flush ──► transport
//
// What nobody asks for stays in the inbox, encrypted; beyond WINDOW the transport is not read, where that can be done. There is one
// reader at a time. Whatever ends a pipe early (an abort, a deadline, an error) goes through fail: it is the end of the connection.
import { AtlsError, closedError } from "./errors.js";
import { closedMidway } from "./ending.js";
import { READ_WAIT, ROOM, type Engine } from "./module.js";
import type { OpenTransport, Transport, TransportEnd } from "./transport.js";

export const WINDOW = 1024 * 1024;
const BUFFERED_MAX = 256 * 1024 * 1024;

export class Pipe {
  readonly engine: Engine;
  /** Why it is over. */
  fault: unknown;
  /** The WebSocket is there. */
  opened = false;
  /** The other end is gone; the inbox may still hold what it said before. */
  ended: TransportEnd | undefined;
  /** Called when something comes that nobody waits for. */
  whenIdle: (() => void) | undefined;
  /** Before the connection is freed: what must still be read from it. */
  beforeFree: (() => void) | undefined;

  #handle: number;
  #transport: Transport;
  #inbox: Uint8Array[] = [];
  #head = 0; // first of the inbox that was not fed
  #offset = 0; // of it
  #queued = 0;
  #bufferedMax: number;
  #paused = false;
  #endFed = false;
  #wake: (() => void) | undefined;
  #listeners = new Set<(why: unknown) => void>();

  /** handle: a connection of the module; taken over. */
  constructor(engine: Engine, handle: number, url: string, open: OpenTransport, bufferedMax = BUFFERED_MAX) {
    this.engine = engine;
    this.#handle = handle;
    this.#bufferedMax = bufferedMax;
    this.#transport = open(url, {
      open: () => {
        this.opened = true;
        this.#signal();
      },
      message: bytes => this.#receive(bytes),
      end: end => {
        this.ended = end;
        this.#signal();
      },
    });
  }

  /** For calls of the module. Throws when the pipe is over. */
  get handle(): number {
    if (this.fault !== undefined) throw this.fault;
    return this.#handle;
  }

  /** Ciphertext that the module has goes out. */
  flush(): void {
    if (!this.opened) return;
    const { exports } = this.engine;
    const n = exports.connection_output(this.handle);
    if (!n) return;
    this.#transport.send(this.engine.view(exports.answer_at(), n));
    exports.connection_sent(this.handle, n);
  }

  /** Something came that the module has not seen. */
  get hasInput(): boolean {
    return this.#head < this.#inbox.length;
  }

  /** One piece of what came goes to the module; false: there is none. */
  feedNext(): boolean {
    const piece = this.#inbox[this.#head];
    if (piece) {
      const part = piece.subarray(this.#offset, this.#offset + ROOM);
      this.engine.exports.connection_feed(this.handle, this.engine.put(part), part.length);
      this.#offset += part.length;
      this.#queued -= part.length;
      if (this.#offset === piece.length) this.#dropFirst();
      if (this.#paused && this.#queued <= WINDOW / 2) {
        this.#paused = false;
        this.#transport.resume();
      }
      return true;
    }
    if (!this.ended || this.#endFed) return false;
    this.#endFed = true;
    this.engine.exports.connection_feed_end(this.handle);
    return true;
  }

  /** Asks the module until it has something else to say than "wait", or nothing more came. */
  attempt(ask: (handle: number) => number): number {
    for (;;) {
      const said = ask(this.handle);
      if (said !== READ_WAIT) return said;
      this.flush();
      if (this.feedNext()) continue;
      if (this.#endFed) throw this.broken(closedError("connection closed"));
      return READ_WAIT;
    }
  }

  /** Resolves when something came. */
  wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.fault !== undefined) reject(this.fault as Error);
      else if (this.hasInput || (this.ended && !this.#endFed)) resolve();
      else this.#wake = () => (this.fault === undefined ? resolve() : reject(this.fault as Error));
    });
  }

  /** Waits for something else than the network, as long as the pipe lives. */
  until<T>(other: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const forget = this.onFail(reject);
      other.then(resolve, reject).finally(forget);
    });
  }

  /** Tells when the pipe is over for good, once. Returns how to forget it. */
  onFail(listener: (why: unknown) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What a failure of the module means when the other end is gone: that it went. */
  broken(error: AtlsError): AtlsError {
    if (!this.ended || (error.category !== "closed" && error.category !== "response")) return error;
    return closedMidway(this.ended);
  }

  drained(): Promise<void> | undefined {
    return this.#transport.drained();
  }

  hold(busy: boolean): void {
    this.#transport.hold(busy);
  }

  /** The end, for this reason; the first one stands. */
  fail(why: unknown): void {
    if (this.fault !== undefined) return;
    try {
      this.beforeFree?.();
    } catch {
      // What could not be read is not there.
    }
    this.fault = why ?? closedError("connection closed");
    this.#inbox = [];
    this.#head = this.#queued = 0;
    try {
      if (!this.engine.broken) this.engine.exports.connection_delete(this.#handle);
    } catch {
      // The module is over, and with it what it held.
    }
    this.#transport.close();
    this.#signal();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    listeners.forEach(tell => tell(this.fault));
  }

  /** The end, with close_notify, in good order. */
  close(why: unknown = closedError("connection closed")): void {
    if (this.fault !== undefined) return;
    try {
      this.engine.exports.connection_close(this.handle);
      this.flush();
    } catch {
      // It was broken before.
    }
    this.fail(why);
  }

  #receive(bytes: Uint8Array): void {
    if (this.fault !== undefined) return;
    this.#inbox.push(bytes);
    this.#queued += bytes.length;
    this.#signal();
    if (this.#queued <= WINDOW || this.#paused) return;
    if (this.#transport.pausable) {
      this.#paused = true;
      this.#transport.pause();
    } else if (this.#queued > this.#bufferedMax) {
      this.fail(new AtlsError(
        `the answer is read too slowly: more than ${this.#bufferedMax} bytes wait, and a plain WebSocket cannot be held back (maxBufferedBytes)`,
        { category: "response", code: "buffer_full", retryable: false },
      ));
    }
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    if (wake) wake();
    else if (this.fault === undefined) this.whenIdle?.();
  }

  #dropFirst(): void {
    this.#inbox[this.#head] = empty; // its memory need not wait for the list's
    this.#offset = 0;
    if (++this.#head === this.#inbox.length || this.#head >= 1024) {
      this.#inbox.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

const empty = new Uint8Array(0);
