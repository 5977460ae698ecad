// Why something failed, for programs (category, code) and for people (message). One job: one class of errors, and the table that sorts
// the module's own into categories.

/**
 * What kind of failure it is: `proxy_connection` the bridge was not reached, refused, or was lost; `handshake` TLS; `attestation` the
 * evidence is not genuine, or not of this session; `policy` it is genuine, and not what the policy asks for, or the policy itself is
 * wrong; `collateral` Intel's statements could not be had; `request` what the caller asked for cannot be asked; `response` the answer is
 * no HTTP; `closed` the connection ended midway; `internal` a fault of this package.
 */
export type AtlsErrorCategory =
  | "proxy_connection"
  | "timeout"
  | "handshake"
  | "attestation"
  | "policy"
  | "collateral"
  | "request"
  | "response"
  | "closed"
  | "internal";

/** What an AtlsError is made of. */
export interface AtlsErrorInit {
  category: AtlsErrorCategory;
  /** A stable word. */
  code: string;
  /** Of include/atls/error_list.h; 0: a reason that only the JavaScript side knows. */
  number?: number;
  retryable?: boolean;
  cause?: unknown;
}

/** Every failure that is neither misuse (a TypeError) nor an abort (the signal's reason). Its message is for people and holds no secret. */
export class AtlsError extends Error {
  readonly category: AtlsErrorCategory;
  /** A stable word, for programs. */
  readonly code: string;
  /** Of include/atls/error_list.h; 0: a reason that only the JavaScript side knows. */
  readonly number: number;
  /** A new connection may well succeed: what was wrong lies in the network. */
  readonly retryable: boolean;

  constructor(message: string, init: AtlsErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.category = init.category;
    this.code = init.code;
    this.number = init.number ?? 0;
    this.retryable = init.retryable ?? retryableByNature(init.category);
  }
}
Object.defineProperty(AtlsError.prototype, "name", { value: "AtlsError", configurable: true, writable: true });

function retryableByNature(category: AtlsErrorCategory): boolean {
  return category === "proxy_connection" || category === "timeout";
}

/** An error as the module tells it. */
export interface ModuleError {
  class: string;
  code: string;
  number: number;
  message: string;
  retryable: boolean;
}

/** When it happened: before the verdict, or with a request under way. */
export type Phase = "attesting" | "exchange";

const byNumber: Record<number, AtlsErrorCategory> = {
  103: "timeout",
  104: "collateral",
};

/* A number stands for [from, to]: what the policy alone decides. */
const decidedByPolicy: [number, number][] = [
  [409, 411], // status, advisory, grace period
  [413, 413], // tcbEvaluationDataNumber
  [500, 504], // measurements
  [702, 703], // age of the quote, attestation too old
  [800, 899],
];

export function categoryOf(number: number, phase: Phase): AtlsErrorCategory {
  const known = byNumber[number];
  if (known) return known;
  if (decidedByPolicy.some(([from, to]) => number >= from && number <= to)) return "policy";
  if (number === 105 || (number >= 200 && number < 300)) return phase === "attesting" ? "handshake" : "closed";
  if (number >= 300 && number < 800) return "attestation";
  if (number >= 1000 && number < 1100) return "attestation"; // receipts
  if (number >= 100 && number < 200) return phase === "attesting" ? "attestation" : "response";
  return "internal";
}

export function fromModule(error: ModuleError, phase: Phase): AtlsError {
  const category = categoryOf(error.number, phase);
  return new AtlsError(error.message, {
    category,
    code: error.code,
    number: error.number,
    retryable: category === "collateral" || category === "handshake" ? error.retryable : category === "timeout",
  });
}

export const internalError = (message: string, cause?: unknown): AtlsError =>
  new AtlsError(message, { category: "internal", code: "internal", number: 901, cause });

export const timeoutError = (what: string, ms: number): AtlsError =>
  new AtlsError(`timed out: ${what} took longer than ${ms} ms`, { category: "timeout", code: "timeout", number: 103 });

export const reattestDueError = (): AtlsError =>
  new AtlsError("the proof is older than the policy's reattest_after: nothing more is sent on this connection; connect again", {
    category: "policy", code: "reattest_due", number: 703,
  });

export const closedError = (message: string, cause?: unknown): AtlsError =>
  new AtlsError(message, { category: "closed", code: "connection_closed", number: 105, cause });

export const proxyError = (code: string, message: string, retryable: boolean, cause?: unknown): AtlsError =>
  new AtlsError(message, { category: "proxy_connection", code, retryable, cause });

export const requestError = (message: string): AtlsError =>
  new AtlsError(message, { category: "request", code: "request" });

export const policyError = (code: string, message: string): AtlsError =>
  new AtlsError(message, { category: "policy", code, number: 800 });
