// Collateral from a certification service, or as one bundle. One job: requests in their order, and what came put together by the module.
// What comes is not judged here: it is signed, and the module checks that.
import type { CollateralNeed } from "./attest.js";
import { AtlsError } from "./errors.js";
import { isLoopback, pageUrl } from "./environment.js";
import type { Engine } from "./module.js";
import { withoutSecrets } from "./text.js";

const BODY_MAX = 4 * 1024 * 1024;
const INTEL = "https://api.trustedservices.intel.com";

export interface FetchOptions {
  /** Base of the service. */
  service: string;
  bundleUrl?: string | undefined;
  timeoutMs: number;
  fetch: typeof fetch;
  anew: boolean;
}

interface Part {
  body: Uint8Array;
  /** Of the field that ends in "Issuer-Chain", as it came. */
  chain: string;
}

/* As the module numbers them. */
const PARTS = ["pck_crl", "tcb_info", "qe_identity", "root_ca_crl"] as const;
type PartName = (typeof PARTS)[number];

/** JSON of a QuoteCollateralV3. */
export async function fetchCollateral(engine: Engine, need: CollateralNeed, options: FetchOptions): Promise<string> {
  if (options.bundleUrl !== undefined) {
    const url = options.bundleUrl.replace(/\{(fmspc|ca|tee)\}/g, (_, name: "fmspc" | "ca" | "tee") => need[name]);
    return new TextDecoder().decode((await get(url, options)).body);
  }
  const base = baseOf(options.service);
  const path = (name: PartName): string => `${base}${need.requests[name] ?? ""}`;
  const [pckCrl, tcbInfo, qeIdentity, rootCrl] = await Promise.all([
    signed(path("pck_crl"), options),
    signed(path("tcb_info"), options),
    signed(path("qe_identity"), options),
    base === INTEL ? undefined : get(path("root_ca_crl"), options).catch(() => undefined),
  ]);
  const root = rootCrl ?? (await get(rootCrlUrl(engine, qeIdentity), options));
  // Nothing may come between these calls: the module keeps the parts meanwhile.
  [pckCrl, tcbInfo, qeIdentity, root].forEach((part, kind) => give(engine, kind, part));
  engine.check(engine.exports.collateral_build());
  return engine.answerText();
}

/** Without slashes and without the paths that some write behind it. */
function baseOf(service: string): string {
  let base = absolute(service).replace(/\/+$/, "");
  for (const tail of ["/sgx/certification/v4", "/tdx/certification/v4"]) if (base.endsWith(tail)) base = base.slice(0, -tail.length);
  return base;
}

const absolute = (url: string): string => (URL.canParse(url, pageUrl()) ? new URL(url, pageUrl()).href : url);

function give(engine: Engine, kind: number, part: Part): void {
  engine.lending(lend => engine.check(engine.exports.collateral_part(kind, ...lend(part.body), ...lend(part.chain))));
}

/* Intel's own service has no path for it: its certificate says where it is. */
function rootCrlUrl(engine: Engine, qeIdentity: Part): string {
  give(engine, PARTS.indexOf("qe_identity"), qeIdentity);
  engine.check(engine.exports.collateral_root_crl_url());
  return engine.answerText();
}

async function signed(url: string, options: FetchOptions): Promise<Part> {
  const part = await get(url, options);
  if (!part.chain) {
    throw failed(url, "its issuer chain cannot be seen: a page sees that header only if the service lists it in Access-Control-Expose-Headers; let the endpoint staple collateral, or use a service of your own origin (collateral.url, collateral.bundleUrl)");
  }
  return part;
}

async function get(given: string, options: FetchOptions): Promise<Part> {
  const url = absolute(given);
  if (!mayBeAsked(url)) throw failed(url, "https only (http to this machine or to the page's own origin), without user and password");
  const stop = new AbortController();
  const timer = options.timeoutMs > 0 ? setTimeout(() => stop.abort(), options.timeoutMs) : undefined;
  try {
    const response = await options.fetch(url, {
      signal: stop.signal, redirect: "error", credentials: "omit", referrerPolicy: "no-referrer", cache: options.anew ? "reload" : "default",
    });
    if (response.status !== 200) throw failed(url, `status ${response.status}`);
    let chain = "";
    response.headers.forEach((value, name) => {
      if (name.toLowerCase().endsWith("issuer-chain")) chain = value;
    });
    return { body: await bodyOf(response, url), chain };
  } catch (cause) {
    if (cause instanceof AtlsError) throw cause;
    if (stop.signal.aborted) throw failed(url, `timed out after ${options.timeoutMs} ms`, cause);
    const said = (cause instanceof Error ? cause.message : String(cause)).replaceAll(url, withoutSecrets(url));
    throw failed(url, `${said}: is it there, does it answer other origins (CORS), and does connect-src of the page's Content-Security-Policy permit it?`, cause);
  } finally {
    clearTimeout(timer);
  }
}

async function bodyOf(response: Response, url: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || !value) break;
    length += value.length;
    if (length > BODY_MAX) {
      await reader?.cancel();
      throw failed(url, `more than ${BODY_MAX} bytes`);
    }
    pieces.push(value);
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

function mayBeAsked(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, password, origin } = new URL(url);
  if (username || password) return false;
  if (protocol === "https:" || (protocol === "http:" && isLoopback(hostname))) return true;
  const page = pageUrl();
  return page !== undefined && new URL(page).origin === origin;
}

function failed(url: string, why: string, cause?: unknown): AtlsError {
  return new AtlsError(`quote verification failed: Failed to get collateral: ${withoutSecrets(url)}: ${why}`, {
    category: "collateral", code: "collateral_fetch", number: 104, retryable: true, cause,
  });
}
