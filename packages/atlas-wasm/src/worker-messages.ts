// What page and worker say to each other. One job: the messages, and errors that travel.
//
//   page ── WorkerOrder ──► worker        each order that has an answer brings a port of its own, and the rest is said there
//   page ◄─ WorkerNews ──── worker
import type { ClientOptions } from "./client.js";
import { AtlsError, type AtlsErrorCategory } from "./errors.js";
import type { AnswerHead, RequestHead } from "./exchange.js";
import type { Assets } from "./init.js";
import { proofFrom, type Proof } from "./proof.js";
import type { AttestationSummary, PoolStats } from "./types.js";

export type WorkerOrder =
  /** What the page has loaded; undefined: load it yourself. */
  | { order: "start"; assets: Assets | undefined; simulation: boolean }
  /** A client, under a number of the page's; proofs are shown on the port when there is a gate. */
  | { order: "client"; client: number; options: Omit<ClientOptions, "gate">; gate: MessagePort | undefined }
  | { order: "send"; client: number; head: RequestHead; body: TravellingBody | undefined; port: MessagePort }
  | { order: "warmup"; client: number; port: MessagePort }
  | { order: "close"; client: number }
  | { order: "closeAll" };

export type TravellingBody = { kind: "bytes"; bytes: Uint8Array } | { kind: "blob"; blob: Blob } | { kind: "stream" };

export interface WorkerNews {
  stats: PoolStats;
}

/** On a request's port, from the page. */
export type FromPage =
  | { say: "want" } // one more piece of the answer
  | { say: "cancel" }
  | { say: "piece"; bytes: Uint8Array }
  | { say: "end" }
  | { say: "failed" }; // the request's body

/** On a request's port, from the worker. */
export type FromWorker =
  | { say: "head"; head: AnswerHead; proof: ProofTexts }
  | { say: "warm"; proof: ProofTexts }
  | { say: "piece"; bytes: Uint8Array }
  | { say: "end" }
  | { say: "failed"; error: TravellingError }
  | { say: "want" } // one more piece of the request's body
  | { say: "cancel" }; // no more of it

/** On a client's port. */
export interface GateAsks {
  question: number;
  proof: ProofTexts;
}
export interface GateAnswers {
  question: number;
  refused: boolean;
}

export interface ProofTexts {
  summary: AttestationSummary;
  report: string;
  receipt: string;
}

export const textsOf = (proof: Proof): ProofTexts => ({ summary: proof.summary, report: proof.reportText(), receipt: proof.receipt() });
export const proofOfTexts = ({ summary, report, receipt }: ProofTexts): Proof => proofFrom(Object.freeze(summary), report, receipt);

export interface TravellingError {
  kind: "atls" | "type" | "dom" | "refused" | "other";
  name: string;
  message: string;
  category?: AtlsErrorCategory;
  code?: string;
  number?: number;
  retryable?: boolean;
  /** Of the question that the page's gate refused. */
  question?: number;
}

/** The page's gate has refused: the page knows why. */
export class Refused extends Error {
  constructor(readonly question: number) {
    super("the proof was refused");
  }
}

export function packError(error: unknown): TravellingError {
  if (error instanceof Refused) return { kind: "refused", name: error.name, message: error.message, question: error.question };
  if (error instanceof AtlsError) {
    const { name, message, category, code, number, retryable } = error;
    return { kind: "atls", name, message, category, code, number, retryable };
  }
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return { kind: error instanceof TypeError ? "type" : error instanceof DOMException ? "dom" : "other", name, message };
}

export function unpackError({ kind, name, message, category, code, number, retryable }: TravellingError): Error {
  if (kind === "atls") {
    return new AtlsError(message, {
      category: category ?? "internal", code: code ?? "internal", number: number ?? 0, retryable: retryable ?? false,
    });
  }
  if (kind === "type") return new TypeError(message);
  return kind === "dom" ? new DOMException(message, name) : Object.assign(new Error(message), { name });
}
