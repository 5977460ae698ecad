// The package's front door. One job: to name what it offers.
import type {
  AtlsFetch, AtlsFetchOptions, AtlsHttpResponse, AtlsPolicy, AttestationReport, AttestationSummary, ConnectOptions, Evidence, InitInput,
  InitOptions, PoolStats, QuoteInfo, ReceiptOptions, ReceiptReport, VersionInfo,
} from "./types.js";
export * from "./types.js";
export { AtlsError } from "./errors.js";
export type { AtlsErrorCategory, AtlsErrorInit } from "./errors.js";

export declare function init(source?: InitInput | InitOptions): Promise<void>;
export default init;
export declare function version(): VersionInfo;
export declare function createAtlsFetch(options: AtlsFetchOptions): AtlsFetch;
export declare function closeAllConnections(): void;
export declare function getConnectionPoolStats(): PoolStats;
export declare function mergeWithDefaultAppCompose(manifest: object, defaults?: object): Record<string, unknown>;
export declare function appComposeHash(manifest: object | string): string;
export declare function verifyQuote(evidence: Evidence): AttestationReport;
export declare function verifyReceipt(receipt: string | object, options?: ReceiptOptions): ReceiptReport;
export declare function inspectQuote(quote: string | Uint8Array): QuoteInfo;

export declare class AtlsHttp {
  static connect(wsUrl: string, serverName: string, policy: AtlsPolicy | string, options?: ConnectOptions): Promise<AtlsHttp>;
  attestation(): AttestationSummary;
  report(): AttestationReport;
  receipt(): string;
  isReady(): boolean;
  close(): void;
  fetch(method: string, path: string, host: string, headers: readonly (readonly [string, string])[] | null, body?: Uint8Array | null): Promise<AtlsHttpResponse>;
}

export declare class AttestedStream {
  static connect(wsUrl: string, serverName: string, policy: AtlsPolicy | string, options?: ConnectOptions): Promise<AttestedStream>;
  get readable(): ReadableStream<Uint8Array>;
  send(bytes: Uint8Array): Promise<void>;
  closeWrite(): Promise<void>;
  attestation(): AttestationSummary;
  report(): AttestationReport;
  receipt(): string;
  close(): void;
}
