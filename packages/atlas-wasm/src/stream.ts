// AttestedStream: the bytes of an attested connection, without HTTP. One job: the reference client's class of that name.
import type { Connection } from "./connection.js";
import { closedMidway } from "./ending.js";
import { closedError } from "./errors.js";
import { connectTo } from "./http.js";
import { Incoming } from "./incoming.js";
import { ROOM } from "./module.js";
import { streamOf } from "./readable.js";
import type { AtlsPolicy, AttestationReport, AttestationSummary, ConnectOptions } from "./types.js";

/**
 * The bytes of one attested connection, without HTTP. Once its proof is older than the policy's `reattest_after`, it sends nothing more
 * (code `reattest_due`): connect again.
 */
export class AttestedStream {
  /** What the endpoint sends; it ends when the endpoint says so. */
  readonly readable: ReadableStream<Uint8Array>;
  #connection: Connection;
  #closed = false;
  #sending: Promise<void> = Promise.resolve();

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.readable = streamOf(new Incoming(connection.pipe, { ask: connection.pipe.engine.exports.connection_read, aheadMax: 0, done() {} }));
  }

  /** Resolves after the verdict. wsUrl: the bridge, with its target in the query; serverName: whom the certificate must be for. */
  static async connect(wsUrl: string, serverName: string, policy: AtlsPolicy | string, options: ConnectOptions = {}): Promise<AttestedStream> {
    return new AttestedStream(await connectTo(wsUrl, serverName, policy, options));
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

  /** Resolves when the bytes are on their way, and there is room for more. They go out in the order of the calls. */
  send(given: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(closedError("stream is closed"));
    const bytes = given.slice(); // its turn may come later
    return this.#inOrder(async () => {
      const { pipe } = this.#connection;
      for (let at = 0; at < bytes.length; at += ROOM) {
        if (pipe.ended) throw closedMidway(pipe.ended);
        this.#connection.checkFresh();
        const part = bytes.subarray(at, at + ROOM);
        pipe.engine.check(pipe.engine.exports.connection_write(pipe.handle, pipe.engine.put(part), part.length), "exchange");
        pipe.flush();
        await pipe.drained();
      }
    });
  }

  /** Says that no more comes from here; what the endpoint says can still be read. */
  closeWrite(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return this.#inOrder(() => {
      const { pipe } = this.#connection;
      pipe.engine.exports.connection_close(pipe.handle);
      pipe.flush();
    });
  }

  /** At once, both ways. */
  close(): void {
    this.#closed = true;
    this.#connection.pipe.close(closedError("stream is closed"));
  }

  #inOrder(work: () => void | Promise<void>): Promise<void> {
    const result = this.#sending.then(work);
    this.#sending = result.catch(() => {});
    return result;
  }
}
