// AtlsHttp: one connection, for callers that keep their own. One job: the reference client's class of that name.
import { proxyOf } from "./address.js";
import { connect, type Connection } from "./connection.js";
import { endpointOf, limit } from "./endpoint.js";
import { isProduction, pageUrl } from "./environment.js";
import { AtlsError, closedError, requestError, timeoutError } from "./errors.js";
import { exchange, type Field } from "./exchange.js";
import { restOn } from "./idle.js";
import type { ByteSource } from "./incoming.js";
import { streamOf } from "./readable.js";
import { forBulk } from "./transport.js";
import type { AtlsHttpResponse, AtlsPolicy, AttestationReport, AttestationSummary, ConnectOptions } from "./types.js";
import { uploadOf } from "./upload.js";

const OURS = new Set(["host", "content-length"]);

/**
 * One attested connection that speaks HTTP, without a pool: the reference client's class of that name. It proves itself again before a
 * request when the policy's `reattest_after` is over; then attestation(), report() and receipt() tell of the new proof.
 */
export class AtlsHttp {
  #connection: Connection;
  #responseMs: number;
  #busy = false;
  #wake: (() => void) | undefined;

  private constructor(connection: Connection, responseMs: number) {
    this.#connection = connection;
    this.#responseMs = responseMs;
    this.#rest();
  }

  /** Resolves after the verdict. wsUrl: the bridge, with its target in the query; serverName: whom the certificate must be for. */
  static async connect(wsUrl: string, serverName: string, policy: AtlsPolicy | string, options: ConnectOptions = {}): Promise<AtlsHttp> {
    const responseMs = limit(options.timeouts?.response, 0, "timeouts.response");
    return new AtlsHttp(await connectTo(wsUrl, serverName, policy, options), responseMs);
  }

  /** What was proved, in short. */
  attestation(): AttestationSummary {
    return this.#connection.proof.summary;
  }

  /** All that was verified. */
  report(): AttestationReport {
    return this.#connection.proof.report();
  }

  /** JSON text to verify again, offline, by `verifyReceipt` or `atls receipt verify`. */
  receipt(): string {
    return this.#connection.proof.receipt();
  }

  /** Open, and no answer under way. */
  isReady(): boolean {
    return !this.#busy && this.#connection.pipe.fault === undefined && !this.#connection.pipe.ended;
  }

  /** At once; an answer under way fails. */
  close(): void {
    const { pipe } = this.#connection;
    if (this.#busy) pipe.fail(closedError("connection closed"));
    else pipe.close();
  }

  /** One request at a time: the next when the body of the last was read to its end. */
  async fetch(
    method: string, path: string, host: string, headers: readonly (readonly [string, string])[] | null, body?: Uint8Array | null,
  ): Promise<AtlsHttpResponse> {
    const { pipe } = this.#connection;
    if (pipe.fault !== undefined || pipe.ended) throw closedError("connection closed");
    if (this.#busy) throw requestError("connection busy - wait for previous response to complete");
    const request = { method, target: path || "/", fields: fieldsOf(host, headers) };
    const upload = body?.length ? uploadOf({ kind: "bytes", bytes: body }) : undefined;
    const progress = { sent: false, answered: false };
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.#busy = true;
    this.#wake?.();
    try {
      if (performance.now() >= this.#connection.due) await this.#connection.reattest();
      const late = (): void => pipe.fail(timeoutError("the answer's head", this.#responseMs));
      if (this.#responseMs > 0) timer = setTimeout(late, Math.min(this.#responseMs, 2 ** 31 - 1));
      const answer = await exchange(this.#connection, request, upload, progress, keeps => {
        this.#busy = false;
        if (keeps) this.#rest();
        else pipe.close();
      });
      const { status, reason, fields } = answer.head;
      return { status, statusText: reason, headers: Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value])), rawHeaders: fields, body: streamOf(named(answer.body)) };
    } catch (error) {
      if (progress.sent) {
        pipe.fail(error);
      } else {
        this.#busy = false;
        this.#rest();
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #rest(): void {
    this.#wake = restOn(this.#connection.pipe, () => this.#connection.pipe.close());
  }
}

export async function connectTo(wsUrl: string, serverName: string, policy: AtlsPolicy | string, options: ConnectOptions): Promise<Connection> {
  const proxy = proxyOf(wsUrl, { production: isProduction(), pageUrl: pageUrl() });
  if (!serverName) throw new TypeError("serverName is required");
  const endpoint = endpointOf({ wsUrl: proxy.href, serverName, host: serverName }, policy, options);
  return connect(forBulk(endpoint), new AbortController().signal); // nobody knows how much will be sent
}

/** Its errors say that they are of a body, as the reference client's do. */
function named(body: ByteSource): ByteSource {
  const say = (why: unknown): unknown => {
    if (!(why instanceof AtlsError)) return why;
    const { category, code, number, retryable } = why;
    return new AtlsError(`Body read error: ${why.message}`, { category, code, number, retryable, cause: why });
  };
  const guarded = <T>(work: () => T | Promise<T>): T | Promise<T> => {
    const fail = (why: unknown): never => {
      throw say(why);
    };
    try {
      const result = work();
      return result instanceof Promise ? result.catch(fail) : result;
    } catch (why) {
      return fail(why);
    }
  };
  return {
    read: () => guarded(() => body.read()),
    readInto: place => guarded(() => body.readInto(place)),
    cancel: why => body.cancel(why),
    get whenFailed() {
      return body.whenFailed;
    },
    set whenFailed(tell) {
      body.whenFailed = tell && (why => tell(say(why)));
    },
  };
}

function fieldsOf(host: string, headers: readonly (readonly [string, string])[] | null): Field[] {
  const fields: Field[] = [["Host", host]];
  if (headers && !(Array.isArray(headers) && headers.every(pair => Array.isArray(pair)))) throw requestError("Invalid headers: a list of [name, value] is wanted");
  for (const [name, value, ...more] of headers ?? []) {
    try {
      new Headers([[name, value, ...more].filter(word => word !== undefined) as [string, string]]);
    } catch (cause) {
      throw Object.assign(requestError(`Invalid headers: ${cause instanceof Error ? cause.message : name}`), { cause });
    }
    if (!OURS.has(name.toLowerCase())) fields.push([name, value]);
  }
  return fields;
}
