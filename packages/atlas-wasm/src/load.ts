// Files of this package, from wherever they lie. One job: bytes and a compiled module, with their integrity checked.
import { nodeModule } from "./environment.js";
import { withoutSecrets } from "./text.js";
import type { BytesInput, InitInput } from "./types.js";

export async function loadBytes(input: BytesInput, what: string, integrity?: string): Promise<Uint8Array> {
  const wanted = integrity === undefined ? undefined : digestsOf(integrity, what);
  const bytes = await bytesOf(input, what);
  return wanted ? verified(bytes, what, wanted) : bytes;
}

async function bytesOf(input: BytesInput, what: string): Promise<Uint8Array> {
  if (input instanceof Uint8Array) return input.slice(); // who gave it may change it meanwhile
  if (input instanceof ArrayBuffer) return new Uint8Array(input.slice(0));
  return (await asFile(input)) ?? new Uint8Array(await (await asResponse(input, what)).arrayBuffer());
}

export async function loadModule(input: InitInput, integrity?: string): Promise<WebAssembly.Module> {
  const what = "the WebAssembly module";
  if (input instanceof WebAssembly.Module) {
    if (integrity !== undefined) throw new TypeError("a compiled module has no bytes to check: give its URL or its bytes");
    return input;
  }
  if (input instanceof Uint8Array || input instanceof ArrayBuffer || integrity !== undefined) {
    return compiled((await loadBytes(input, what, integrity)) as Uint8Array<ArrayBuffer>);
  }
  const file = await asFile(input);
  if (file) return compiled(file as Uint8Array<ArrayBuffer>);
  const response = await asResponse(input, what);
  const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  const streamed = type === "application/wasm" && "compileStreaming" in WebAssembly;
  return compiled(streamed ? response : new Uint8Array(await response.arrayBuffer()));
}

async function compiled(from: Response | Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await (from instanceof Response ? WebAssembly.compileStreaming(from) : WebAssembly.compile(from));
  } catch (cause) {
    // What browsers recommend in this case, 'unsafe-eval', is far more than is needed.
    if (!(cause instanceof Error) || !/Content.Security.Policy|\bCSP\b/i.test(cause.message)) throw cause;
    throw new Error("the page's Content-Security-Policy forbids WebAssembly: script-src needs 'wasm-unsafe-eval' (and no 'unsafe-eval')", { cause });
  }
}

async function asResponse(input: URL | string | Request | Response, what: string): Promise<Response> {
  const url = withoutSecrets(input instanceof Request || input instanceof Response ? input.url : String(input));
  let response: Response;
  try {
    response = input instanceof Response ? input : await fetch(input);
  } catch (cause) {
    const why = "is it there, does connect-src of the page's Content-Security-Policy permit it?";
    throw new Error(`${what} could not be loaded from ${url}: ${why}`, { cause });
  }
  if (!response.ok) throw new Error(`${what} could not be loaded from ${url}: status ${response.status}`);
  return response;
}

/** file: URLs, which fetch does not read in Node.js; undefined: it is none. */
async function asFile(input: BytesInput): Promise<Uint8Array | undefined> {
  if (!(input instanceof URL) && typeof input !== "string") return undefined;
  if (!String(input).startsWith("file:")) return undefined;
  const { readFile } = await nodeModule<typeof import("node:fs/promises")>("fs/promises");
  return readFile(new URL(input));
}

type Algorithm = "sha256" | "sha384" | "sha512";
type Digest = [algorithm: Algorithm, base64: string];

/** Subresource Integrity, of which fetch ignores what it cannot read: here that is an error. */
function digestsOf(integrity: string, what: string): Digest[] {
  const words = typeof integrity === "string" ? integrity.trim().split(/\s+/) : [integrity];
  return words.map(word => {
    const match = /^(sha256|sha384|sha512)-([A-Za-z0-9+/]+={0,2})$/.exec(word);
    if (match) return [match[1] as Algorithm, match[2] as string];
    throw new TypeError(`the integrity of ${what} must be sha256-…, sha384-… or sha512-…, not ${JSON.stringify(integrity)}`);
  });
}

/** Of the strongest algorithm named, any value will do. Not by fetch: not every platform's checks. */
async function verified(bytes: Uint8Array, what: string, wanted: Digest[]): Promise<Uint8Array> {
  const strongest = wanted.map(([algorithm]) => algorithm).sort().at(-1) as Algorithm;
  const digest = await crypto.subtle.digest(`SHA-${strongest.slice(3)}`, bytes as Uint8Array<ArrayBuffer>);
  const got = btoa(String.fromCharCode(...new Uint8Array(digest)));
  if (wanted.some(([algorithm, value]) => algorithm === strongest && value === got)) return bytes;
  throw new Error(`${what} is not the one that was meant: its integrity is ${strongest}-${got}`);
}
