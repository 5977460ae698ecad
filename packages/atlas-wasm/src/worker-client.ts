// A worker's clients, as a page sees them. One job: requests to the worker and answers from it, with backpressure both ways.
import type { ClientOptions, ClientRequest } from "./client.js";
import { pageUrl } from "./environment.js";
import { AtlsError, closedError, internalError } from "./errors.js";
import type { AnswerHead } from "./exchange.js";
import type { ByteSource } from "./incoming.js";
import { loadedAssets, simulationAllowed } from "./init.js";
import type { Proof } from "./proof.js";
import type { PoolStats } from "./types.js";
import { uploadOf, type Upload } from "./upload.js";
import { startWorker, type AnyWorker } from "./worker-start.js";
import { proofOfTexts, unpackError, type FromPage, type FromWorker, type GateAnswers, type GateAsks, type TravellingError, type WorkerNews, type WorkerOrder } from "./worker-messages.js";

type Given = true | Worker | (() => Worker);

/** A worker that was started, and what goes on in it. */
interface Remote {
  worker: AnyWorker;
  stats: PoolStats;
  /** Of requests under way: what happens when the worker goes. */
  open: Set<(why: AtlsError) => void>;
  gone: AtlsError | undefined;
}

/* Pieces of an answer that are asked for ahead of who reads. */
const AHEAD = 2;
const NONE: PoolStats = { total: 0, idle: 0, busy: 0, connecting: 0 };

const remotes = new Map<Given, Promise<Remote>>();
const running = new Set<Remote>();
let clientsMade = 0;

export const workerStats = (): PoolStats[] => [...running].map(({ stats }) => stats);
export const closeWorkers = (): void => running.forEach(({ worker }) => tell(worker, { order: "closeAll" }));

function tell(worker: AnyWorker, order: WorkerOrder, transfer: Transferable[] = []): void {
  worker.postMessage(order, transfer);
}

function remoteOf(given: Given): Promise<Remote> {
  let known = remotes.get(given);
  if (!known) {
    remotes.set(given, (known = start(given)));
    known.catch(() => remotes.delete(given));
  }
  return known;
}

async function start(given: Given): Promise<Remote> {
  const assets = await loadedAssets();
  const remote: Remote = { worker: await startWorker(given), stats: NONE, open: new Set(), gone: undefined };
  remote.worker.listen(
    data => {
      if (isNews(data)) remote.stats = data.stats; // a worker of the caller's may have words of its own
    },
    cause => {
      const why = internalError(`the worker stopped: ${cause instanceof Error ? cause.message : "could its script be loaded, does worker-src of the page's Content-Security-Policy permit it?"}`, cause);
      if (remote.gone) return;
      remote.gone = why;
      if (given === true || typeof given === "function") remote.worker.terminate(); // nobody else knows of it, and of its connections
      running.delete(remote);
      remotes.delete(given);
      remote.open.forEach(fail => fail(why));
    },
  );
  tell(remote.worker, { order: "start", assets, simulation: simulationAllowed() });
  running.add(remote);
  return remote;
}

function isNews(data: unknown): data is WorkerNews {
  if (typeof data !== "object" || data === null || !("stats" in data)) return false;
  const { stats } = data;
  return typeof stats === "object" && stats !== null && Object.keys(NONE).every(name => typeof (stats as Record<string, unknown>)[name] === "number");
}

export class WorkerClient {
  #given: Given;
  #options: ClientOptions;
  #number = ++clientsMade;
  #known = new WeakSet<Remote>();
  #refusals = new Map<number, unknown>();

  constructor(given: Given, options: ClientOptions) {
    const { endpoint } = options;
    if (endpoint.WebSocket) throw new TypeError("the option WebSocket cannot go to a worker: set it up there");
    if (endpoint.collateral?.fetch) throw new TypeError("the option collateral.fetch cannot go to a worker");
    const absolute = (url: string | undefined): string | undefined => (url !== undefined && URL.canParse(url, pageUrl()) ? resolved(url) : url);
    this.#given = given;
    this.#options = {
      ...options,
      endpoint: {
        ...endpoint,
        collateral: endpoint.collateral && { ...endpoint.collateral, url: absolute(endpoint.collateral.url), bundleUrl: absolute(endpoint.collateral.bundleUrl) },
      },
    };
  }

  async send({ head, body, signal }: ClientRequest): Promise<{ head: AnswerHead; body: ByteSource; proof: Proof }> {
    const remote = await this.#remote();
    signal?.throwIfAborted();
    const channel = new MessageChannel();
    const upload = body?.kind === "stream" ? uploadOf(body) : undefined;
    const exchange = new Exchange(remote, channel.port1, upload, error => this.#errorOf(error));
    tell(remote.worker, {
      order: "send", client: this.#number, head, body: body?.kind === "stream" ? { kind: "stream" } : body, port: channel.port2,
    }, [channel.port2]);
    exchange.obey(signal);
    return exchange.answer;
  }

  async warmup(): Promise<Proof> {
    const remote = await this.#remote();
    const channel = new MessageChannel();
    const exchange = new Exchange(remote, channel.port1, undefined, error => this.#errorOf(error));
    tell(remote.worker, { order: "warmup", client: this.#number, port: channel.port2 }, [channel.port2]);
    return (await exchange.answer).proof;
  }

  close(): void {
    remotes.get(this.#given)?.then(({ worker }) => tell(worker, { order: "close", client: this.#number }), () => {});
  }

  async #remote(): Promise<Remote> {
    const remote = await remoteOf(this.#given);
    if (remote.gone) throw remote.gone;
    if (this.#known.has(remote)) return remote;
    this.#known.add(remote);
    const { gate, ...options } = this.#options;
    const port = gate && this.#gatePort(gate);
    tell(remote.worker, { order: "client", client: this.#number, options, gate: port }, port ? [port] : []);
    return remote;
  }

  #gatePort(gate: NonNullable<ClientOptions["gate"]>): MessagePort {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = async ({ data }: MessageEvent<GateAsks>) => {
      let refused = false;
      try {
        await gate(proofOfTexts(data.proof));
      } catch (error) {
        refused = true;
        this.#refusals.set(data.question, error);
      }
      port1.postMessage({ question: data.question, refused } satisfies GateAnswers);
    };
    (port1 as { unref?(): void }).unref?.();
    return port2;
  }

  #errorOf(error: TravellingError): unknown {
    if (error.question === undefined) return unpackError(error);
    const why = this.#refusals.get(error.question);
    this.#refusals.delete(error.question);
    return why;
  }
}

/* {fmspc} and its like shall stay as they are. */
const resolved = (url: string): string => new URL(url, pageUrl()).href.replace(/%7B(fmspc|ca|tee)%7D/gi, "{$1}");

/** One request, at the page's end of its port; and its answer's body. */
class Exchange implements ByteSource {
  readonly answer: Promise<{ head: AnswerHead; body: ByteSource; proof: Proof }>;
  whenFailed: ((why: unknown) => void) | undefined;
  #remote: Remote;
  #port: MessagePort;
  #upload: Upload | undefined;
  #resolve!: (answer: { head: AnswerHead; body: ByteSource; proof: Proof }) => void;
  #reject!: (why: unknown) => void;
  #pieces: Uint8Array[] = [];
  #wanted = 0;
  #over = false; // nothing more will come …
  #read = false; // … and nothing is left
  #fault: unknown;
  #wake: (() => void) | undefined;
  #forget = (): void => {};
  #lost = (why: AtlsError): void => this.#fail(why);

  constructor(remote: Remote, port: MessagePort, upload: Upload | undefined, errorOf: (error: TravellingError) => unknown) {
    this.#remote = remote;
    this.#port = port;
    this.#upload = upload;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    remote.open.add(this.#lost);
    remote.worker.hold(remote.open.size > 0);
    port.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      switch (data.say) {
        case "head":
          return this.#resolve({ head: data.head, body: this, proof: proofOfTexts(data.proof) });
        case "warm":
          this.#resolve({ head: { status: 0, reason: "", fields: [] }, body: this, proof: proofOfTexts(data.proof) });
          this.#wasRead();
          return this.#end();
        case "piece":
          this.#wanted--;
          this.#pieces.push(data.bytes);
          return this.#signal();
        case "end":
          return this.#end();
        case "failed":
          return this.#fail(errorOf(data.error));
        case "want":
          return void this.#give();
        case "cancel":
          return this.#upload?.cancel(new Error("the answer came before the request was whole"));
      }
    };
  }

  obey(signal: AbortSignal | undefined): void {
    if (!signal) return;
    const abort = (): void => {
      if (!this.#over) this.#say({ say: "cancel" });
      this.#fail(signal.reason);
    };
    signal.addEventListener("abort", abort);
    this.#forget = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const first = this.#pieces.shift();
    if (this.#fault !== undefined) throw this.#fault;
    for (; !this.#over && this.#wanted + this.#pieces.length < AHEAD; this.#wanted++) this.#say({ say: "want" });
    if (first) return first;
    if (this.#over) return this.#wasRead();
    return new Promise<void>(resolve => (this.#wake = resolve)).then(() => this.read());
  }

  readInto(place: Uint8Array): number | Promise<number> {
    const piece = this.read();
    return piece instanceof Promise ? piece.then(later => this.#put(later, place)) : this.#put(piece, place);
  }

  cancel(why: unknown): void {
    this.whenFailed = undefined;
    if (!this.#over) this.#say({ say: "cancel" });
    this.#fail(why ?? closedError("the answer was cancelled"));
  }

  #put(piece: Uint8Array | undefined, place: Uint8Array): number {
    if (!piece) return 0;
    const part = piece.subarray(0, place.length);
    place.set(part);
    if (part.length < piece.length) this.#pieces.unshift(piece.subarray(part.length));
    return part.length;
  }

  /** The next piece of the request's body. */
  async #give(): Promise<void> {
    try {
      const bytes = await this.#upload?.next();
      this.#say(bytes ? { say: "piece", bytes } : { say: "end" });
    } catch (error) {
      this.#say({ say: "failed" });
      this.#fail(error);
    }
  }

  #say(message: FromPage): void {
    this.#port.postMessage(message);
  }

  #end(): void {
    this.#finish();
    this.#signal();
  }

  #fail(why: unknown): void {
    if (this.#read) return;
    this.#wasRead();
    this.#fault = why;
    this.#pieces = [];
    if (!this.#over) {
      this.#upload?.cancel(why);
      this.#finish();
      this.#reject(why);
    }
    this.whenFailed?.(why);
    this.#signal();
  }

  #wasRead(): undefined {
    this.#read = true;
    this.#forget();
  }

  #finish(): void {
    this.#over = true;
    this.#port.close();
    this.#remote.open.delete(this.#lost);
    this.#remote.worker.hold(this.#remote.open.size > 0);
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
