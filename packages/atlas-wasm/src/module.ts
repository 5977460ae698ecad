// The WebAssembly module, as src/wasm/module.h describes it. One job: memory, calls and answers. It decides nothing.
import { AtlsError, fromModule, internalError, type ModuleError, type Phase } from "./errors.js";

export const ABI = 1;
/** The larger of what is handed over in one call, either way. */
export const ROOM = 256 * 1024;

/* Of what a failed check says. */
const SAID_MAX = 2048;

export const READ_WAIT = 0;
export const READ_END = -1;
export const READ_BROKEN = -2;

export const STEP_WAIT = 0;
export const STEP_COLLATERAL = 1;
export const STEP_ATTESTED = 2;

export interface Exports {
  memory: WebAssembly.Memory;
  _initialize?(): void;
  alloc(n: number): number;
  release(at: number): void;
  answer_at(): number;
  answer_len(): number;
  about(): void;
  roots_load(at: number, len: number): number;
  policy_new(at: number, len: number): number;
  policy_delete(policy: number): void;
  policy_about(policy: number): void;
  compose_merge_texts(defaults: number, defaultsLen: number, user: number, userLen: number): number;
  compose_digest(at: number, len: number): number;
  verifier_new(): number;
  context_new(policy: number, roots: number, len: number, extra: number): number;
  context_delete(context: number): void;
  connection_new(context: number, verifier: number, name: number, nameLen: number, host: number, hostLen: number): number;
  connection_delete(c: number): void;
  connection_feed(c: number, at: number, len: number): void;
  connection_feed_end(c: number): void;
  connection_output(c: number): number;
  connection_sent(c: number, n: number): void;
  connection_step(c: number, nowS: number, nowMs: number): number;
  /** 0 handshake, 1 quote, 2 collateral, 3 verification, 4 done. */
  connection_phase(c: number): number;
  connection_need(c: number): number;
  connection_give_collateral(c: number, at: number, len: number): number;
  connection_summary(c: number): number;
  connection_report(c: number): number;
  connection_receipt(c: number): number;
  connection_due_ms(c: number): number;
  connection_reattest(c: number): number;
  connection_read(c: number, at: number, room: number): number;
  connection_write(c: number, at: number, len: number): number;
  connection_close(c: number): void;
  connection_quiet(c: number): number;
  request_begin(c: number, head: number, len: number, body: number): number;
  request_body(c: number, at: number, len: number): number;
  request_end(c: number): number;
  response_head(c: number): number;
  response_read(c: number, at: number, room: number): number;
  response_keeps(c: number): number;
  response_begun(c: number): number;
  collateral_part(kind: number, at: number, len: number, chain: number, chainLen: number): number;
  collateral_root_crl_url(): number;
  collateral_build(): number;
  collateral_about(at: number, len: number, nowS: number): number;
  evidence_verify(
    verifier: number, policy: number, quote: number, quoteLen: number, log: number, logLen: number, collateral: number,
    collateralLen: number, leaf: number, reportData: number, nowS: number,
  ): number;
  receipt_check(policy: number, at: number, len: number, nowS: number): number;
  quote_about(at: number, len: number): number;
}

type Lend = (bytes: string | Uint8Array) => [at: number, len: number];

export interface Engine {
  readonly exports: Exports;
  /** Remembers what of Intel's was found true. */
  readonly verifier: number;
  /** It trapped: nothing of it is to be used again. */
  readonly broken: AtlsError | undefined;
  /** Bytes for the module, freed when use returns. */
  lending<T>(use: (lend: Lend) => T): T;
  /** At most ROOM bytes, at a place of the module that the next call of this function uses again. */
  put(bytes: Uint8Array): number;
  /** Room for ROOM bytes of answers; what lies there holds until somebody else uses it. */
  readonly out: number;
  /** A view into the module's memory, gone at the next call. */
  view(at: number, len: number): Uint8Array;
  answer(): Uint8Array;
  answerText(): string;
  answerJson<T>(): T;
  failure(phase: Phase): AtlsError;
  /** Throws what the answer tells when result is 0. */
  check(result: number, phase?: Phase): number;
}

export async function startEngine(module: WebAssembly.Module, roots: Uint8Array): Promise<Engine> {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  let broken: AtlsError | undefined;
  let said = "";
  let heap = new Uint8Array(0);

  const memory = (): Uint8Array => {
    if (heap.buffer !== exports.memory.buffer) heap = new Uint8Array(exports.memory.buffer);
    return heap;
  };
  const instance = await WebAssembly.instantiate(module, {
    env: {
      entropy(at: number, len: number) {
        for (let done = 0; done < len; done += 65536) {
          crypto.getRandomValues(memory().subarray(at + done, at + Math.min(done + 65536, len)));
        }
      },
      now: () => Date.now() / 1000,
      log(at: number, len: number) {
        said = (said + decoder.decode(memory().slice(at, at + len))).slice(-SAID_MAX);
      },
    },
  });
  const exports = guarded(instance.exports as unknown as Exports, () => broken, cause => {
    broken ??= internalError(`the WebAssembly module stopped: ${said.trim() || String(cause)}`, cause);
    return broken;
  });

  const place = (bytes: Uint8Array): number => {
    const at = exports.alloc(bytes.length);
    if (!at) throw internalError("no memory");
    memory().set(bytes, at);
    return at;
  };
  exports._initialize?.();
  const room = exports.alloc(2 * ROOM);
  if (!room) throw internalError("no memory");

  const engine: Engine = {
    exports,
    verifier: 0,
    out: room + ROOM,
    get broken() {
      return broken;
    },
    lending(use) {
      const lent: number[] = [];
      try {
        return use(given => {
          const bytes = typeof given === "string" ? encoder.encode(given) : given;
          const at = place(bytes);
          lent.push(at);
          return [at, bytes.length];
        });
      } finally {
        if (!broken) lent.forEach(at => exports.release(at));
      }
    },
    put(bytes) {
      memory().set(bytes, room);
      return room;
    },
    view: (at, len) => memory().subarray(at, at + len),
    answer: () => engine.view(exports.answer_at(), exports.answer_len()),
    answerText: () => decoder.decode(engine.answer()),
    answerJson<T>() {
      return JSON.parse(engine.answerText()) as T;
    },
    failure: phase => fromModule(engine.answerJson<ModuleError>(), phase),
    check(result, phase = "attesting") {
      if (!result) throw engine.failure(phase);
      return result;
    },
  };
  exports.about();
  const { abi } = engine.answerJson<{ abi: number }>();
  if (abi !== ABI) throw internalError(`this package wants a module of ABI ${ABI}, and got one of ABI ${abi}: do the files belong together?`);
  engine.check(exports.roots_load(place(roots), roots.length));
  return Object.assign(engine, { verifier: engine.check(exports.verifier_new()) });
}

/** A trap leaves memory as it was in the middle of something: from then on every call fails. */
function guarded(raw: Exports, broken: () => AtlsError | undefined, trapped: (cause: unknown) => AtlsError): Exports {
  const all: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (typeof value !== "function") {
      all[name] = value;
      continue;
    }
    const call = value as (...words: number[]) => number;
    all[name] = (...words: number[]) => {
      const why = broken();
      if (why) throw why;
      try {
        return call(...words);
      } catch (cause) {
        throw trapped(cause);
      }
    };
  }
  return all as unknown as Exports;
}
