// Requests over attested connections. One job: a connection that has proved itself and that its user has seen, a request on it, and
// another try only where nothing can have happened twice.
import { connect, type Connection, type Endpoint } from "./connection.js";
import { AtlsError, closedError, timeoutError } from "./errors.js";
import { exchange, type AnswerHead, type Progress, type RequestHead } from "./exchange.js";
import type { Incoming } from "./incoming.js";
import { identity } from "./identity.js";
import { restOn } from "./idle.js";
import { createPool, type Lease, type Pooled } from "./pool.js";
import type { Proof } from "./proof.js";
import { forBulk } from "./transport.js";
import type { PoolStats } from "./types.js";
import { repeatable, uploadOf, type UploadBody } from "./upload.js";

/** Shows a proof to the user, who may refuse it by throwing. */
export type Gate = (proof: Proof) => void | Promise<void>;

export interface ClientOptions {
  endpoint: Endpoint;
  gate?: Gate | undefined;
  maxConnections: number;
  maxRequestsPerConnection: number;
  idleMs: number;
  ttlMs: number;
  responseMs: number;
}

export interface ClientRequest {
  head: RequestHead;
  body?: UploadBody | undefined;
  signal?: AbortSignal | undefined;
}

export interface ClientAnswer {
  head: AnswerHead;
  body: Incoming;
  proof: Proof;
}

interface PooledConnection extends Pooled {
  connection: Connection;
  /** What was shown to whom. */
  shown: WeakMap<object, Proof>;
  /** By us, not by the other end. */
  closed: boolean;
}

let changed = (): void => {};
const pool = createPool<PooledConnection>(() => changed());

/** Tells whenever the numbers of poolStats may have changed. */
export const watchPool = (watcher: () => void): void => void (changed = watcher);
export const poolStats = (): PoolStats => pool.stats();
export const closePool = (): void => pool.closeAll();

/* What a socket takes at once, whatever the network does. */
const AT_ONCE = 32 * 1024;

const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

export class Client {
  readonly #options: ClientOptions;
  readonly #usual: Lane;
  readonly #bulk: Lane;
  readonly #connect: typeof connect;

  constructor(options: ClientOptions, connecting = connect) {
    this.#options = options;
    this.#connect = connecting;
    this.#usual = laneOf(options.endpoint);
    this.#bulk = laneOf(forBulk(options.endpoint));
  }

  async send(request: ClientRequest): Promise<ClientAnswer> {
    for (let tries = 1; ; tries++) {
      const lease = await this.#lease(isSmall(request.body) ? this.#usual : this.#bulk, request.signal);
      const progress = { sent: false, answered: false };
      try {
        return await this.#run(lease, request, progress);
      } catch (error) {
        const again = tries === 1 && !request.signal?.aborted && mayTryAgain(lease, request, progress, error);
        if (!progress.sent && error instanceof AtlsError && error.category === "request") this.#release(lease); // not the connection's fault
        else lease.discard();
        if (!again) throw error;
      }
    }
  }

  /** Connects, if need be, and asks for nothing. */
  async warmup(signal?: AbortSignal): Promise<Proof> {
    const lease = await this.#lease(this.#usual, signal);
    const { proof } = lease.connection.connection;
    this.#release(lease);
    return proof;
  }

  close(): void {
    pool.closeOwned(this);
  }

  #release(lease: Lease<PooledConnection>): void {
    lease.release(this.#options.idleMs, this.#options.maxRequestsPerConnection);
  }

  /** One that is proved, and known to its user. */
  async #lease({ key, endpoint }: Lane, signal: AbortSignal | undefined): Promise<Lease<PooledConnection>> {
    for (;;) {
      const lease = await pool.acquire(key, {
        open: async cancelled => pooled(await this.#connect(endpoint, cancelled)), owner: this, limit: this.#options.maxConnections, signal,
      });
      const { connection } = lease.connection;
      const { pipe } = connection;
      const abort = (): void => pipe.fail(signal?.reason);
      signal?.addEventListener("abort", abort);
      try {
        signal?.throwIfAborted();
        if (lease.reused && this.#isOld(connection)) {
          try {
            await connection.reattest();
          } catch {
            signal?.throwIfAborted();
            lease.discard();
            continue; // a new one tells whether the endpoint is still what it was
          }
        }
        await this.#show(lease.connection);
        if (performance.now() >= connection.due) {
          // That took its time.
          await connection.reattest();
          await this.#show(lease.connection);
        }
        return lease;
      } catch (error) {
        lease.discard();
        throw error;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    }
  }

  async #show({ connection, shown }: PooledConnection): Promise<void> {
    const { gate } = this.#options;
    if (!gate || shown.get(this) === connection.proof) return;
    const { proof } = connection;
    await connection.pipe.until(Promise.resolve(gate(proof)));
    shown.set(this, proof);
  }

  #isOld({ attestedAt, due }: Connection): boolean {
    const now = performance.now();
    return now >= due || now >= attestedAt + this.#options.ttlMs;
  }

  async #run(lease: Lease<PooledConnection>, request: ClientRequest, progress: Progress): Promise<ClientAnswer> {
    const { signal } = request;
    const { connection } = lease.connection;
    const { pipe, proof } = connection;
    let body: Incoming | undefined;
    const abort = (): void => (body ? body.abort(signal?.reason) : pipe.fail(signal?.reason));
    const forget = (): void => signal?.removeEventListener("abort", abort);
    const { responseMs } = this.#options;
    const late = (): void => pipe.fail(timeoutError("the answer's head", responseMs));
    const timer = responseMs > 0 ? setTimeout(late, Math.min(responseMs, 2 ** 31 - 1)) : undefined;
    signal?.addEventListener("abort", abort);
    try {
      signal?.throwIfAborted(); // since the connection was found
      const upload = request.body && uploadOf(request.body);
      const answer = await exchange(connection, request.head, upload, progress, keeps => (keeps ? this.#release(lease) : lease.discard()));
      body = answer.body;
      body.whenRead = forget;
      return { ...answer, proof };
    } catch (error) {
      forget();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Where nothing was sent; or where the other end closed a connection that had served before as the request was on its way, unanswered, and twice does no harm. */
function mayTryAgain(lease: Lease<PooledConnection>, request: ClientRequest, progress: Progress, error: unknown): boolean {
  if (lease.connection.closed) return false;
  if (!progress.sent && error instanceof AtlsError && error.code === "reattest_due") return true;
  if (!lease.reused || !(error instanceof AtlsError) || error.category !== "closed") return false;
  if (!progress.sent) return true;
  return !progress.answered && IDEMPOTENT.has(request.head.method) && repeatable(request.body);
}

function pooled(connection: Connection): PooledConnection {
  const { pipe } = connection;
  return {
    connection,
    shown: new WeakMap(),
    closed: false,
    usable: () => pipe.fault === undefined && !pipe.engine.broken,
    rest: onGone => restOn(pipe, onGone),
    close(busy) {
      this.closed = true;
      if (busy) pipe.fail(closedError("connection closed"));
      else pipe.close();
    },
  };
}

const isSmall = (body: UploadBody | undefined): boolean =>
  !body || (body.kind === "bytes" && body.bytes.length <= AT_ONCE) || (body.kind === "blob" && body.blob.size <= AT_ONCE);

/** Where requests go, and with whom they share connections. */
interface Lane {
  endpoint: Endpoint;
  key: string;
}

const laneOf = (endpoint: Endpoint): Lane => ({ endpoint, key: keyOf(endpoint) });

/* Who shares a connection: those for whom the same verdict was reached in the same way. */
const keyOf = (e: Endpoint): string => JSON.stringify([
  e.wsUrl, e.serverName, e.host, e.policy, e.roots, e.extraRoots, e.simulation, e.transport, identity(e.WebSocket), e.protocols,
]);
