// What callers see: options, summaries, reports. One job: to name them, with what they mean.

/** Where the WebAssembly module or its trust anchors come from. */
export type BytesInput = URL | string | Request | Response | ArrayBuffer | Uint8Array;
/** Where the module comes from; one that was compiled already, too. */
export type InitInput = BytesInput | WebAssembly.Module;

/** What `init` may be told. */
export interface InitOptions {
  /** The module; default: `atlas.wasm` beside this package's code. */
  wasm?: InitInput | undefined;
  /** Mozilla's trust anchors; default: `roots.bin` beside this package's code. */
  roots?: BytesInput | undefined;
  /** Subresource Integrity values (`sha384-…`) that the two must have. */
  integrity?: { wasm?: string | undefined; roots?: string | undefined } | undefined;
  /** Accept policies that trust another root than Intel's: for the simulator, never in production. */
  simulation?: boolean | undefined;
}

export interface VersionInfo {
  /** Of Postern. */
  version: string;
  /** SHA-256 of sources, compiler and options that the module was built of. */
  build: string;
  openssl: string;
  /** SHA-256 of OpenSSL's source. */
  openssl_source: string;
  /** Of the functions between this package and the module. */
  abi: number;
}

/** How well a platform is patched, by Intel's words. */
export type TcbStatus =
  | "UpToDate"
  | "SWHardeningNeeded"
  | "ConfigurationNeeded"
  | "ConfigurationAndSWHardeningNeeded"
  | "TDRelaunchAdvised"
  | "TDRelaunchAdvisedConfigurationNeeded"
  | "OutOfDate"
  | "OutOfDateConfigurationNeeded"
  | "Revoked";

/** A JSON document of type "dstack_tdx": docs/attested-tls.md has every member. */
export interface AtlsPolicy {
  type: "dstack_tdx";
  /** `mrtd`, `rtmr0`, `rtmr1`, `rtmr2` in hex; or an array of such objects. */
  expected_bootchain?: object | null;
  /** The manifest of what runs: an object (hashed canonically) or the file's text. */
  app_compose?: object | string | null;
  /** Instead: its SHA-256. Any of several will do. */
  app_compose_hash?: string | readonly string[];
  /** SHA-256 of the guest's image. Any of several will do. */
  os_image_hash?: string | readonly string[] | null;
  /** Default: `["UpToDate"]`. */
  allowed_tcb_status?: readonly TcbStatus[];
  /** Seconds for which OutOfDate is accepted after the date of the platform's level. */
  grace_period?: number | null;
  /** Where collateral comes from when the server sends none. */
  pccs_url?: string | null;
  /** Seconds after which nothing more is sent without another proof. */
  reattest_after?: number;
  [member: string]: unknown;
}

/** What was proved, in short. It exists only after everything has passed. */
export interface AttestationSummary {
  readonly trusted: true;
  readonly teeType: "Tdx" | "Sgx";
  readonly tcbStatus: TcbStatus;
  readonly advisoryIds: readonly string[];
  /** MRTD of a TDX machine, in hex. */
  readonly measurement?: string;
  /** Made by the simulator: no hardware stands behind it. */
  readonly simulated?: true;
}

/** A trust domain: its measurements, in hex. */
export interface TdReport {
  tee_tcb_svn: string;
  mr_seam: string;
  mr_signer_seam: string;
  seam_attributes: string;
  td_attributes: string;
  xfam: string;
  mr_td: string;
  mr_config_id: string;
  mr_owner: string;
  mr_owner_config: string;
  rt_mr0: string;
  rt_mr1: string;
  rt_mr2: string;
  rt_mr3: string;
  report_data: string;
}

/** An SGX enclave: its measurements, in hex. */
export interface EnclaveReport {
  cpu_svn: string;
  misc_select: string;
  attributes: string;
  mr_enclave: string;
  mr_signer: string;
  isv_prod_id: number;
  isv_svn: number;
  report_data: string;
}

/** Measurements of a quote, by the kind of its body. */
export type QuoteBody =
  | { TD10: TdReport }
  | { TD15: { base: TdReport; tee_tcb_svn2: string; mr_service_td: string } }
  | { SgxEnclave: EnclaveReport };

/** Of one part of the platform. */
export interface TcbVerdict {
  status: TcbStatus;
  advisory_ids: string[];
}

/** Everything that was verified; the same members as `atls verify --json` has under "report". Bytes are lowercase hex, times RFC 3339. */
export interface AttestationReport {
  tee: "TDX" | "SGX";
  status: TcbStatus;
  advisory_ids: string[];
  report: QuoteBody;
  platform_status: TcbVerdict;
  qe_status: TcbVerdict;
  module_status?: TcbStatus;
  /** Of the platform's level. */
  tcb_date: string;
  tcb_evaluation_data_number: number;
  qe_evaluation_data_number: number;
  /** The family of platforms. */
  fmspc: string;
  /** When the first of Intel's documents ends. */
  collateral_expires: string;
  /** Who vouches in the end. */
  trust_root: "intel" | "custom";
  /** No hardware stands behind it. */
  simulated: boolean;
  verified_at: string;
  /** Boot chain, image and application were compared with the policy. */
  runtime_verified: boolean;
  /** SHA-256 of the application's manifest. */
  compose_hash?: string;
  os_image_hash?: string;
  /** What the guest reported, in order; payloads in hex. */
  events?: { event: string; payload: string; digest: string }[];
}

/** The proof behind a connection: shown on demand. */
export interface AttestationEvidence {
  report(): AttestationReport;
  /** JSON text that `atls receipt verify` and `verifyReceipt` take, years later, offline. */
  receipt(): string;
}

/** Told of every new connection, before any request goes out on it. */
export type OnAttestation = (summary: AttestationSummary, evidence: AttestationEvidence) => void | Promise<void>;

/** Where Intel's statements come from when the endpoint sends none. */
export interface CollateralOptions {
  /** Base of a PCS or PCCS, instead of the policy's `pccs_url`; may be a path of this page's own origin. */
  url?: string | undefined;
  /** One GET that answers a whole QuoteCollateralV3; `{fmspc}`, `{ca}` and `{tee}` are replaced. */
  bundleUrl?: string | undefined;
  /** Where it is kept; default: "indexeddb" where there is one, else "memory". It is verified each time, wherever it lay. */
  cache?: "indexeddb" | "memory" | "none" | undefined;
  /** Default: the platform's. */
  fetch?: typeof fetch | undefined;
}

/** Milliseconds; 0: no limit. */
export interface Timeouts {
  /** Bridge and TLS handshake; 10 000. */
  connect?: number | undefined;
  /** From the handshake to the verdict, without collateral; 30 000. */
  attest?: number | undefined;
  /** Each fetch of collateral; 30 000. */
  collateral?: number | undefined;
  /** From the request to the head of its answer; 0. */
  response?: number | undefined;
}

/** Which of the platform's WebSockets carries the bytes. */
export type TransportKind = "auto" | "websocket" | "websocketstream";

/** A WebSocket constructor: the browser's, or that of the package `ws`. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[], options?: object) => object;

/** What every kind of connection takes. */
export interface ConnectOptions {
  /** PEM of CAs to trust beside Mozilla's. */
  extraRoots?: string | undefined;
  /** PEM of CAs to trust instead of Mozilla's. */
  roots?: string | undefined;
  timeouts?: Timeouts | undefined;
  collateral?: CollateralOptions | undefined;
  /**
   * Default: "auto": WebSocketStream where there is one, for its backpressure, but for requests with large bodies; else WebSocket.
   * With "websocketstream", Chromium's page crashes when the connection is lost within a large body.
   */
  transport?: TransportKind | undefined;
  /** Default: the platform's; in Node.js 20 that of the package `ws`. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Subprotocols to offer to the bridge, for example a bearer token of it. */
  protocols?: string | readonly string[] | undefined;
  /** What a plain WebSocket, which cannot be held back, may pile up before the connection is given up; 256 MiB. */
  maxBufferedBytes?: number | undefined;
  /** Accept a policy that trusts another root than Intel's: for the simulator, never in production. */
  simulation?: boolean | undefined;
}

/** What `createAtlsFetch` may be told. */
export interface AtlsFetchOptions extends ConnectOptions {
  /** The WebSocket bridge; without a scheme: ws://. */
  proxyUrl: string;
  /** host or host:port of the endpoint; default port 443. */
  targetHost: string;
  /** What the endpoint must be: an object, or its JSON text. */
  policy: AtlsPolicy | string;
  /** Whom the certificate must be for; default: the host of `targetHost`. */
  serverName?: string | undefined;
  defaultHeaders?: HeadersInit | undefined;
  /** Called, and awaited, once for each new connection before any request goes out on it. If it throws, the connection is closed. */
  onAttestation?: OnAttestation | undefined;
  /** At a time; 6. Further requests wait their turn. */
  maxConnections?: number | undefined;
  /** Requests on one connection; 100. */
  maxRequestsPerConnection?: number | undefined;
  /** Milliseconds that an unused connection is kept; 55 000. */
  idleTimeout?: number | undefined;
  /** Milliseconds after which a pooled connection proves itself again before its next request; default: what the policy says. */
  attestationTtl?: number | undefined;
  /** Everything but your callbacks runs in a worker: true starts the package's own. */
  worker?: boolean | Worker | (() => Worker) | undefined;
}

/** A Response that knows what was proved about who sent it. */
export interface AtlsResponse extends Response {
  readonly attestation: AttestationSummary;
  attestationReport(): AttestationReport;
  receipt(): string;
}

/** As `fetch`, for one attested endpoint: URLs are relative, or of its own origin. */
export interface AtlsFetch {
  (input: RequestInfo | URL, init?: RequestInit): Promise<AtlsResponse>;
  /** Connects and attests without a request. */
  warmup(): Promise<AttestationSummary>;
  /** Closes this function's idle connections, and its busy ones as soon as their answers are whole. */
  close(): void;
}

/** Connections of the pool. */
export interface PoolStats {
  total: number;
  idle: number;
  busy: number;
  connecting: number;
}

/** Evidence to be judged offline. Bytes: hex, or as they are. */
export interface Evidence {
  quote: string | Uint8Array;
  eventLog?: string | undefined;
  /** A QuoteCollateralV3, as an object or its JSON text. */
  collateral: object | string;
  /** Without one: is it genuine? */
  policy?: AtlsPolicy | string | undefined;
  /** SHA-256 of the server's certificate, which the event log must name. */
  leafSha256?: string | Uint8Array | undefined;
  /** The 64 bytes that the quote must be about. */
  reportData?: string | Uint8Array | undefined;
  /** When it is judged; default: now. A number counts milliseconds, as Date.now() does. */
  at?: Date | number | undefined;
  simulation?: boolean | undefined;
}

/** How a receipt is judged, besides by what stands in it. */
export interface ReceiptOptions {
  policy?: AtlsPolicy | string | undefined;
  at?: Date | number | undefined;
  simulation?: boolean | undefined;
}

/** Every field of a quote, nothing of it verified. */
export interface QuoteInfo {
  version: number;
  tee: "TDX" | "SGX";
  qe_vendor_id: string;
  user_data: string;
  report: QuoteBody;
  signature: string;
  attestation_key: string;
  qe_report: EnclaveReport;
  qe_report_signature: string;
  qe_authentication_data: string;
  certification_type: number;
  /** PEM, or how many bytes it has. */
  certification_data: string | number;
}

/** An answer as `AtlsHttp` gives it. */
export interface AtlsHttpResponse {
  status: number;
  statusText: string;
  /** Names in lower case; the last value wins where one stands twice: see rawHeaders. */
  headers: Record<string, string>;
  rawHeaders: [name: string, value: string][];
  body: ReadableStream<Uint8Array>;
}
