// What a connection has proved. One job: the summary at once, report and receipt when somebody asks, also after the connection is gone.
import { internalError } from "./errors.js";
import type { Pipe } from "./pipe.js";
import type { AttestationEvidence, AttestationReport, AttestationSummary, TcbStatus } from "./types.js";

export interface Proof extends AttestationEvidence {
  readonly summary: AttestationSummary;
  reportText(): string;
  /** Fetches what the module will forget. */
  settle(): void;
}

interface ModuleSummary {
  tee: "TDX" | "SGX";
  status: TcbStatus;
  advisory_ids: string[];
  simulated: boolean;
  measurement: string;
}

/** Right after the verdict. */
export function proofOf(pipe: Pipe): Proof {
  const { engine } = pipe;
  const { exports } = engine;
  engine.check(exports.connection_summary(pipe.handle));
  const told = engine.answerJson<ModuleSummary>();
  let report: string | undefined;
  let receipt: string | undefined;

  const readReport = (): string => {
    engine.check(exports.connection_report(pipe.handle));
    return engine.answerText();
  };
  const readReceipt = (): string => {
    engine.check(exports.connection_receipt(pipe.handle));
    return engine.answerText();
  };
  const kept = <T>(value: T | undefined): T => {
    if (value === undefined) throw internalError("the proof was lost with the WebAssembly module");
    return value;
  };
  const proof: Proof = {
    summary: Object.freeze({
      trusted: true,
      teeType: told.tee === "TDX" ? "Tdx" : "Sgx",
      tcbStatus: told.status,
      advisoryIds: Object.freeze(told.advisory_ids),
      measurement: told.measurement,
      ...(told.simulated ? { simulated: true } : {}),
    } as const),
    report: () => JSON.parse(proof.reportText()) as AttestationReport,
    reportText() {
      if (pipe.fault === undefined) report ??= readReport();
      return kept(report);
    },
    receipt() {
      if (pipe.fault === undefined) receipt ??= readReceipt();
      return kept(receipt);
    },
    settle() {
      report ??= readReport();
      receipt ??= readReceipt();
    },
  };
  return proof;
}

/** One that came from elsewhere, as texts. */
export const proofFrom = (summary: AttestationSummary, report: string, receipt: string): Proof => ({
  summary,
  report: () => JSON.parse(report) as AttestationReport,
  reportText: () => report,
  receipt: () => receipt,
  settle() {},
});
