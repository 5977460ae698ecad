// One attested connection. One job: from an endpoint to a pipe with a proof, and to a proof anew when one grows old.
import { attest } from "./attest.js";
import { getCollateral } from "./collateral.js";
import { borrowContext, type Trust } from "./contexts.js";
import { AtlsError, reattestDueError } from "./errors.js";
import { theEngine } from "./init.js";
import { Pipe } from "./pipe.js";
import { proofOf, type Proof } from "./proof.js";
import { chooseTransport, type TransportOptions } from "./transport.js";
import type { CollateralOptions } from "./types.js";

/** Where to, whom to trust, how long to wait. */
export interface Endpoint extends Trust, TransportOptions {
  wsUrl: string;
  serverName: string;
  /** Host of the quote request. */
  host: string;
  connectMs: number;
  attestMs: number;
  collateralMs: number;
  collateral?: CollateralOptions | undefined;
  maxBufferedBytes?: number | undefined;
}

export interface Connection {
  readonly pipe: Pipe;
  /** Of the last attestation. */
  readonly proof: Proof;
  /** By performance.now(). */
  readonly attestedAt: number;
  /** By performance.now(): when the policy wants it to be proved again. */
  readonly due: number;
  /** Throws when that time has come: right before anything of the application's goes out. */
  checkFresh(): void;
  /** Proves itself again on the same session. Nothing may be under way. A connection that fails is over. */
  reattest(): Promise<void>;
}

/** cancelled: gives up when it rejects. */
export async function connect(endpoint: Endpoint, cancelled: AbortSignal): Promise<Connection> {
  const collateral = { old: false };
  try {
    return await connectOnce(endpoint, cancelled, collateral);
  } catch (error) {
    // What was kept may have been spoilt where it lay: by now it is forgotten.
    if (!collateral.old || !(error instanceof AtlsError) || error.category !== "attestation") throw error;
    return connectOnce(endpoint, cancelled, collateral);
  }
}

/** collateral.old: whether the verdict hung on what was kept. */
async function connectOnce(endpoint: Endpoint, cancelled: AbortSignal, collateral: { old: boolean }): Promise<Connection> {
  const [engine, open] = await Promise.all([theEngine(), chooseTransport(endpoint)]);
  cancelled.throwIfAborted();
  const context = borrowContext(engine, endpoint);
  const { exports } = engine;
  let pipe: Pipe;
  try {
    const handle = engine.lending(lend => engine.check(
      exports.connection_new(context.handle, engine.verifier, ...lend(endpoint.serverName), ...lend(endpoint.serverName)),
    ));
    try {
      pipe = new Pipe(engine, handle, endpoint.wsUrl, open, endpoint.maxBufferedBytes);
    } catch (error) {
      exports.connection_delete(handle);
      throw error;
    }
  } catch (error) {
    context.release();
    throw error;
  }
  pipe.onFail(() => context.release());

  const options = {
    url: endpoint.wsUrl,
    connectMs: endpoint.connectMs,
    attestMs: endpoint.attestMs,
    collateral: async (need: Parameters<typeof getCollateral>[1]) => {
      const given = await getCollateral(engine, need, context.about.pccs_url, endpoint.collateral, endpoint.collateralMs);
      collateral.old = given.old;
      return given;
    },
  };
  const prove = async (): Promise<{ proof: Proof; attestedAt: number; due: number }> => {
    try {
      await attest(pipe, options);
      const proof = proofOf(pipe);
      pipe.beforeFree = () => proof.settle();
      return { proof, attestedAt: performance.now(), due: exports.connection_due_ms(pipe.handle) };
    } catch (error) {
      pipe.fail(error);
      throw error;
    }
  };

  const cancel = (): void => pipe.fail(cancelled.reason);
  cancelled.addEventListener("abort", cancel);
  let now: Awaited<ReturnType<typeof prove>>;
  try {
    now = await prove();
  } finally {
    cancelled.removeEventListener("abort", cancel);
  }
  return {
    pipe,
    get proof() {
      return now.proof;
    },
    get attestedAt() {
      return now.attestedAt;
    },
    get due() {
      return now.due;
    },
    checkFresh() {
      if (performance.now() >= now.due) throw reattestDueError();
    },
    async reattest() {
      try {
        now.proof.settle();
        engine.check(exports.connection_reattest(pipe.handle));
      } catch (error) {
        pipe.fail(error);
        throw error;
      }
      now = await prove();
    },
  };
}
