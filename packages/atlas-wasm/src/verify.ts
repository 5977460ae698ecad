// Evidence without a connection. One job: quotes and receipts judged at once, after init().
import { mayBeSimulated, withPolicy } from "./contexts.js";
import { flag } from "./environment.js";
import { engineNow, simulationAllowed } from "./init.js";
import { bytesOfHexOr, jsonText } from "./text.js";
import type { AttestationReport, Evidence, QuoteInfo, ReceiptOptions } from "./types.js";

/** Is this quote genuine, and what the policy asks for? Throws an AtlsError that says why not. */
export function verifyQuote(evidence: Evidence): AttestationReport {
  const engine = engineNow();
  const leaf = ofLength(evidence.leafSha256, 32, "leafSha256");
  const reportData = ofLength(evidence.reportData, 64, "reportData");
  const at = seconds(evidence.at) ?? Date.now() / 1000;
  const policy = evidence.policy === undefined ? undefined : jsonText(evidence.policy);
  return withPolicy(engine, policy, flag(evidence.simulation, "simulation") ?? simulationAllowed(), handle =>
    engine.lending(lend => {
      engine.check(engine.exports.evidence_verify(
        engine.verifier, handle, ...lend(bytesOfHexOr(evidence.quote, "quote")), ...lend(evidence.eventLog ?? ""),
        ...lend(jsonText(evidence.collateral)), leaf ? lend(leaf)[0] : 0, reportData ? lend(reportData)[0] : 0, at,
      ));
      return engine.answerJson<AttestationReport>();
    }));
}

/**
 * What a receipt proves: by the policy in it as of its own time, and by yours, as of yours, when you give them. The policy in it is
 * its maker's: whoever did not make the receipt gives one of their own.
 */
export function verifyReceipt(receipt: string | object, options: ReceiptOptions = {}): AttestationReport {
  const engine = engineNow();
  const at = seconds(options.at) ?? -1; // none
  const policy = options.policy === undefined ? undefined : jsonText(options.policy);
  const simulation = flag(options.simulation, "simulation") ?? simulationAllowed();
  return withPolicy(engine, policy, simulation, handle =>
    engine.lending(lend => {
      engine.check(engine.exports.receipt_check(handle, ...lend(jsonText(receipt)), at));
      const report = engine.answerJson<AttestationReport>();
      mayBeSimulated(report.simulated || report.trust_root !== "intel", simulation);
      return report;
    }));
}

/** Every field of a quote; nothing of it is verified. */
export function inspectQuote(quote: string | Uint8Array): QuoteInfo {
  const engine = engineNow();
  return engine.lending(lend => {
    engine.check(engine.exports.quote_about(...lend(bytesOfHexOr(quote, "quote"))));
    return engine.answerJson<QuoteInfo>();
  });
}

/* As far as a Date goes. */
const LATEST_S = 8.64e12;

function seconds(at: Date | number | undefined): number | undefined {
  if (at === undefined) return undefined;
  const s = at instanceof Date || typeof at === "number" ? Math.floor(Number(at) / 1000) : NaN;
  if (s >= 0 && s <= LATEST_S) return s;
  throw new TypeError("at must be a Date, or a number of milliseconds, since 1970");
}

function ofLength(given: string | Uint8Array | undefined, length: number, what: string): Uint8Array | undefined {
  if (given === undefined) return undefined;
  const bytes = bytesOfHexOr(given, what);
  if (bytes.length !== length) throw new TypeError(`${what} must have ${length} bytes`);
  return bytes;
}
