// Files of this package, from wherever they lie. One job: bytes and a compiled module, with their integrity checked.
import { nodeModule } from "./environment.js";
import type { BytesInput, InitInput } from "./types.js";

export async function loadBytes(input: BytesInput, what: string, integrity?: string): Promise<Uint8Array> {
  if (input instanceof Uint8Array) return verified(input, what, integrity);
  if (input instanceof ArrayBuffer) return verified(new Uint8Array(input), what, integrity);
  const file = await asFile(input);
  if (file) return verified(file, what, integrity);
  const response = await asResponse(input, what, integrity);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return input instanceof Response ? verified(bytes, what, integrity) : bytes;
}

export async function loadModule(input: InitInput, integrity?: string): Promise<WebAssembly.Module> {
  const what = "the WebAssembly module";
  if (input instanceof WebAssembly.Module) {
    if (integrity) throw new TypeError("a compiled module has no bytes to check: give its URL or its bytes");
    return input;
  }
  if (input instanceof Uint8Array || input instanceof ArrayBuffer || (integrity && input instanceof Response)) {
    return compiled((await loadBytes(input, what, integrity)) as Uint8Array<ArrayBuffer>);
  }
  const file = await asFile(input);
  if (file) return compiled((await verified(file, what, integrity)) as Uint8Array<ArrayBuffer>);
  const response = await asResponse(input, what, integrity);
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

async function asResponse(input: URL | string | Request | Response, what: string, integrity?: string): Promise<Response> {
  const url = input instanceof Request || input instanceof Response ? input.url : String(input);
  let response: Response;
  try {
    response = input instanceof Response ? input : await fetch(input, integrity ? { integrity } : undefined);
  } catch (cause) {
    const why = "is it there, does connect-src of the page's Content-Security-Policy permit it, does its integrity match?";
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

/** Subresource Integrity, for bytes that fetch has not checked: of the strongest algorithm named, any value will do. */
async function verified(bytes: Uint8Array, what: string, integrity?: string): Promise<Uint8Array> {
  if (!integrity) return bytes;
  const wanted = integrity.trim().split(/\s+/).map(word => /^(sha256|sha384|sha512)-([A-Za-z0-9+/_=-]+)/.exec(word));
  const names = wanted.flatMap(match => (match ? [match[1] as string] : [])).sort();
  const strongest = names.at(-1);
  if (!strongest) throw new TypeError(`the integrity of ${what} must be sha256-…, sha384-… or sha512-…, not ${JSON.stringify(integrity)}`);
  const digest = await crypto.subtle.digest(`SHA-${strongest.slice(3)}`, bytes as Uint8Array<ArrayBuffer>);
  const got = btoa(String.fromCharCode(...new Uint8Array(digest)));
  if (wanted.some(match => match?.[1] === strongest && match[2] === got)) return bytes;
  throw new Error(`${what} is not the one that was meant: its integrity is ${strongest}-${got}`);
}
