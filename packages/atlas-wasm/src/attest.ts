// From an open pipe to a verdict. One job: to drive the module through handshake, quote, collateral and verification, each in its time.
import { notConnected, targetClosed } from "./ending.js";
import { AtlsError, timeoutError } from "./errors.js";
import { STEP_ATTESTED, STEP_COLLATERAL, STEP_WAIT } from "./module.js";
import type { Pipe } from "./pipe.js";

/** As connection_need tells it. */
export interface CollateralNeed {
  anew: boolean;
  tee: "tdx" | "sgx";
  fmspc: string;
  ca: "platform" | "processor";
  requests: Record<string, string>;
}

export interface Collateral {
  /** A QuoteCollateralV3. */
  json: string;
  /** It was kept from an earlier time. */
  old: boolean;
  /** With it the verdict was no: nobody shall keep it. */
  refused(): void;
}

export interface AttestOptions {
  url: string;
  connectMs: number;
  attestMs: number;
  collateral(need: CollateralNeed): Promise<Collateral>;
}

/* connection_phase */
const PHASE_QUOTE = 1;

/** Ends with the verdict, or throws; a pipe that threw is to be thrown away. */
export async function attest(pipe: Pipe, options: AttestOptions): Promise<void> {
  const { exports } = pipe.engine;
  const clock = deadline(pipe);
  let quoting = false;
  let given: Collateral | undefined;
  clock.set(options.connectMs, "connecting to the proxy and the TLS handshake");
  try {
    while (!pipe.opened) {
      if (pipe.ended) throw notConnected(options.url, pipe.ended, false);
      await pipe.wait();
    }
    for (;;) {
      const step = exports.connection_step(pipe.handle, Date.now() / 1000, performance.now());
      if (step === STEP_WAIT || step === STEP_ATTESTED) pipe.flush();
      if (step === STEP_ATTESTED) return;
      if (!quoting && exports.connection_phase(pipe.handle) >= PHASE_QUOTE) {
        quoting = true;
        clock.set(options.attestMs, "the quote");
      }
      if (step === STEP_WAIT) {
        await more(pipe, options.url);
      } else if (step === STEP_COLLATERAL) {
        clock.clear(); // it has a limit of its own
        pipe.engine.check(exports.connection_need(pipe.handle));
        const need = pipe.engine.answerJson<CollateralNeed>();
        given?.refused();
        given = await pipe.until(options.collateral(need));
        const { json } = given;
        pipe.engine.lending(lend => pipe.engine.check(exports.connection_give_collateral(pipe.handle, ...lend(json))));
      } else {
        throw failure(pipe);
      }
    }
  } catch (error) {
    if (error instanceof AtlsError && error.category === "attestation") given?.refused();
    throw error;
  } finally {
    clock.clear();
  }
}

/* The alert that tells the other end why is output by now. */
function failure(pipe: Pipe): AtlsError {
  const error = pipe.engine.failure("attesting");
  pipe.flush();
  return error;
}

async function more(pipe: Pipe, url: string): Promise<void> {
  // The bridge says why better than the module, which would only see that no more comes.
  if (pipe.ended && !pipe.hasInput && !targetClosed(pipe.ended)) throw notConnected(url, pipe.ended, true);
  if (pipe.feedNext()) return;
  if (!pipe.ended) return pipe.wait();
  throw new AtlsError("TLS handshake failed: the endpoint ended the connection", {
    category: "handshake", code: "connection_closed", number: 105, retryable: true,
  });
}

function deadline(pipe: Pipe): { set(ms: number, what: string): void; clear(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    set(ms, what) {
      clearTimeout(timer);
      timer = ms > 0 ? setTimeout(() => pipe.fail(timeoutError(what, ms)), Math.min(ms, 2 ** 31 - 1)) : undefined;
    },
    clear: () => clearTimeout(timer),
  };
}
