// One request and its answer on an attested connection. One job: the request out, the head of the answer in; both ways side by side, for
// an answer may come before the request is whole.
import { closedMidway } from "./ending.js";
import { AtlsError, requestError } from "./errors.js";
import { Incoming } from "./incoming.js";
import { READ_BROKEN, READ_WAIT, ROOM } from "./module.js";
import type { Pipe } from "./pipe.js";
import { isLatin1, toLatin1 } from "./text.js";
import type { Upload } from "./upload.js";

export type Field = [name: string, value: string];

export interface RequestHead {
  method: string;
  /** Path and query. */
  target: string;
  /** Host among them; none that says where the body ends. */
  fields: readonly Field[];
}

export interface AnswerHead {
  status: number;
  reason: string;
  fields: Field[];
}

export interface Answer {
  head: AnswerHead;
  body: Incoming;
}

/* request_begin's body, where it is no number of bytes. */
const CHUNKED = -1;
const NO_BODY = -2;

const AHEAD_MAX = 64 * 1024;

/** How far it came; for who thinks of trying again. */
export interface Progress {
  /** Something of the request may have gone out. */
  sent: boolean;
  /** Something of the answer came. */
  answered: boolean;
}

/** What a request goes out on. */
export interface Line {
  readonly pipe: Pipe;
  /** Throws when its proof is too old for anything more to go out. */
  checkFresh(): void;
}

/** done: called once, when the answer is whole (may another request follow?) or nothing more will come of it. */
export async function exchange(
  line: Line, request: RequestHead, upload: Upload | undefined, progress: Progress, done: (keeps: boolean) => void,
): Promise<Answer> {
  const { pipe } = line;
  begin(line, request, upload);
  progress.sent = true;
  const sending = upload ? new Sending(line, upload) : undefined;
  if (!sending) end(pipe);
  try {
    const head = await answerHead(pipe, progress);
    const { exports } = pipe.engine;
    return {
      head,
      body: new Incoming(pipe, {
        ask: exports.response_read,
        aheadMax: AHEAD_MAX,
        done: whole => done((sending?.stop() ?? true) && whole && exports.response_keeps(pipe.handle) !== 0),
      }),
    };
  } catch (error) {
    sending?.stop();
    throw sending?.trouble ?? error;
  }
}

function begin({ pipe, checkFresh }: Line, { method, target, fields }: RequestHead, upload: Upload | undefined): void {
  const { engine } = pipe;
  const parts = [method, target, ...fields.flat()];
  if (!parts.every(isLatin1)) throw requestError("a method, path or header holds a character that no request can");
  // What came before anything was asked for would be taken for the answer.
  while (pipe.feedNext()) continue;
  checkFresh();
  const text = toLatin1(`${parts.join("\0")}\0`);
  const body = upload ? (upload.length ?? CHUNKED) : NO_BODY;
  const begun = engine.lending(lend => engine.exports.request_begin(pipe.handle, ...lend(text), body) || engine.failure("exchange"));
  if (begun instanceof AtlsError) throw begun.category === "policy" ? new AtlsError(begun.message, { category: "request", code: "request", cause: begun }) : begun;
}

function end(pipe: Pipe): void {
  pipe.engine.check(pipe.engine.exports.request_end(pipe.handle), "exchange");
  pipe.flush();
}

async function answerHead(pipe: Pipe, progress: Progress): Promise<AnswerHead> {
  const { exports } = pipe.engine;
  for (;;) {
    try {
      const said = pipe.attempt(exports.response_head);
      if (said === READ_BROKEN) throw pipe.broken(pipe.engine.failure("exchange"));
      if (said !== READ_WAIT) return pipe.engine.answerJson<AnswerHead>();
    } finally {
      // While it can be told: whatever ends the pipe frees what knows it.
      if (pipe.fault === undefined && !pipe.engine.broken) progress.answered = exports.response_begun(pipe.handle) !== 0;
    }
    await pipe.wait();
  }
}

/** The body on its way out, beside whatever comes in. */
class Sending {
  /** What the caller's body failed with. */
  trouble: unknown;
  #whole = false;
  #stopped = false;

  readonly pipe: Pipe;

  constructor(readonly line: Line, readonly upload: Upload) {
    const { pipe } = line;
    this.pipe = pipe;
    this.#run().catch((error: unknown) => {
      if (this.#stopped) return;
      this.trouble = error;
      pipe.fail(error);
    });
  }

  /** No more of it. Says whether all of it went out. */
  stop(): boolean {
    if (!this.#whole && !this.#stopped) {
      this.#stopped = true;
      this.upload.cancel(this.pipe.fault ?? new Error("the answer came before the request was whole"));
    }
    return this.#whole;
  }

  async #run(): Promise<void> {
    const { pipe, upload } = this;
    for (;;) {
      if (pipe.ended) {
        // Whatever comes now can only be what was said before.
        this.#stopped = true;
        return upload.cancel(closedMidway(pipe.ended));
      }
      // What is there at once goes out at once: head and body of a small request are one message.
      const given = upload.next();
      const piece = given instanceof Promise ? await this.#flushFirst(given) : given;
      if (this.#stopped) return;
      if (!piece) break;
      for (let at = 0; at < piece.length; at += ROOM) {
        const part = piece.subarray(at, at + ROOM);
        this.line.checkFresh();
        pipe.engine.check(pipe.engine.exports.request_body(pipe.handle, pipe.engine.put(part), part.length), "exchange");
        if (part.length === ROOM) pipe.flush();
        const full = pipe.drained();
        if (full) await full;
        if (this.#stopped) return;
      }
    }
    end(pipe);
    this.#whole = true;
  }

  #flushFirst<T>(given: Promise<T>): Promise<T> {
    this.pipe.flush();
    return given;
  }
}
