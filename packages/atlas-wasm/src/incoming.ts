// Bytes of the application on their way in: an answer's body, or all of a stream. One job: to give them when they are asked for, decrypted
// then and not before, but for the first few of an answer: so that a short one that nobody reads does not keep its connection.
import { closedError } from "./errors.js";
import { READ_BROKEN, READ_END, READ_WAIT, ROOM } from "./module.js";
import type { Pipe } from "./pipe.js";

/** What a stream is made of. */
export interface ByteSource {
  /** Bytes; undefined: there are no more. At once where there are some. */
  read(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** As read, into a place of the caller's; 0: there are no more. */
  readInto(place: Uint8Array): number | Promise<number>;
  /** The rest is not wanted. */
  cancel(why: unknown): void;
  /** Called once, when it fails by something else than a read. */
  whenFailed: ((why: unknown) => void) | undefined;
}

export interface IncomingOptions {
  /** Asks the module: bytes to the place, or one of its READ_… */
  ask(handle: number, at: number, room: number): number;
  /** Bytes that are decrypted before anybody asks. */
  aheadMax: number;
  /** Called once, when the last byte came (whole), or nothing more will. */
  done(whole: boolean): void;
}

export class Incoming implements ByteSource {
  whenFailed: ((why: unknown) => void) | undefined;
  /** Called once, when nothing is left to be read. */
  whenRead: (() => void) | undefined;
  #pipe: Pipe;
  #options: IncomingOptions;
  #ahead: Uint8Array[] = [];
  #aheadBytes = 0;
  #read = false;
  #over = false; // nothing more will come from the pipe …
  #fault: unknown; // … because of this
  #forget: () => void;

  constructor(pipe: Pipe, options: IncomingOptions) {
    this.#pipe = pipe;
    this.#options = options;
    this.#forget = pipe.onFail(why => {
      this.#ahead = [];
      this.#finish(false, why);
      this.#wasRead();
      this.whenFailed?.(why);
    });
    if (!options.aheadMax) return;
    pipe.whenIdle = () => this.#readAhead();
    this.#readAhead();
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const first = this.#ahead.shift();
    if (first) {
      this.#aheadBytes -= first.length;
      return first;
    }
    const n = this.#fill(ROOM);
    return n === READ_WAIT ? this.#later(() => this.read()) : this.#taken(n);
  }

  readInto(place: Uint8Array): number | Promise<number> {
    const first = this.#ahead[0];
    if (first) {
      const part = first.subarray(0, place.length);
      place.set(part);
      this.#aheadBytes -= part.length;
      if (part.length < first.length) this.#ahead[0] = first.subarray(part.length);
      else this.#ahead.shift();
      return part.length;
    }
    const n = this.#fill(Math.min(place.length, ROOM));
    if (n === READ_WAIT) return this.#later(() => this.readInto(place));
    if (n === READ_END) return 0;
    place.set(this.#pipe.engine.view(this.#pipe.engine.out, n));
    return n;
  }

  /** The rest is not wanted: the connection goes, for nobody knows how much that is. */
  cancel(why: unknown): void {
    this.whenFailed = undefined;
    this.abort(why ?? closedError("the answer was cancelled"));
  }

  /** As cancel, and told to whoever reads. */
  abort(why: unknown): void {
    if (!this.#over) return this.#pipe.fail(why);
    if (this.#read) return;
    this.#ahead = [];
    this.#fault = why;
    this.#wasRead();
    this.whenFailed?.(why);
  }

  #wasRead(): void {
    if (this.#read) return;
    this.#read = true;
    this.whenRead?.();
  }

  /** Bytes to the module's place for them: how many, READ_WAIT or READ_END. Throws what went wrong. */
  #fill(room: number): number {
    if (this.#over) {
      this.#wasRead();
      if (this.#fault !== undefined) throw this.#fault;
      return READ_END;
    }
    const { engine } = this.#pipe;
    let got = 0;
    try {
      while (got < room) {
        const n = this.#pipe.attempt(handle => this.#options.ask(handle, engine.out + got, room - got));
        if (n === READ_BROKEN) throw this.#pipe.broken(engine.failure("exchange"));
        if (n === READ_WAIT) return got || READ_WAIT;
        if (n === READ_END) {
          this.#finish(true, undefined);
          return got || READ_END;
        }
        got += n;
      }
      return got;
    } catch (error) {
      // What came before is told before.
      this.#finish(false, error);
      this.#pipe.fail(error);
      if (got) return got;
      throw error;
    }
  }

  #taken(n: number): Uint8Array | undefined {
    return n === READ_END ? undefined : this.#pipe.engine.view(this.#pipe.engine.out, n).slice();
  }

  #later<T>(again: () => T | Promise<T>): Promise<T> {
    return this.#pipe.wait().then(again);
  }

  #readAhead(): void {
    try {
      while (!this.#over && this.#aheadBytes < this.#options.aheadMax) {
        const n = this.#fill(this.#options.aheadMax - this.#aheadBytes);
        if (n === READ_WAIT || n === READ_END) return;
        this.#ahead.push(this.#taken(n) as Uint8Array);
        this.#aheadBytes += n;
      }
    } catch {
      // It is told to whoever reads.
    }
  }

  #finish(whole: boolean, fault: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#fault = fault;
    this.#forget();
    this.#pipe.whenIdle = undefined;
    this.#options.done(whole);
  }
}
