// What the caller of fetch meant. One job: from fetch's arguments to a head and a body, by fetch's rules and those of HTTP/1.1.
import type { Field, RequestHead } from "./exchange.js";
import type { UploadBody } from "./upload.js";

export interface Prepared {
  url: string;
  head: RequestHead;
  body: UploadBody | undefined;
  signal: AbortSignal | undefined;
  redirect: RequestRedirect;
}

/* Between two neighbours, or the module's to write: a caller that names one believes something that is not so. */
const REFUSED = new Set(["connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]);
const NORMALISED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);
/* A Request does not say how long its body is: up to here it is read to find out. */
const GATHERED_MAX = 1024 * 1024;

export async function prepare(
  input: RequestInfo | URL, init: RequestInit | undefined, base: string, host: string, defaults: HeadersInit | undefined,
): Promise<Prepared> {
  const request = requestOf(input);
  const url = urlOf(request ? request.url : String(input), base);
  const method = methodOf(init?.method ?? request?.method ?? "GET");
  if (init?.integrity || request?.integrity) throw new TypeError("integrity is not supported here: check the bytes yourself");
  const signal = (init?.signal === undefined ? request?.signal : init.signal) ?? undefined;
  signal?.throwIfAborted();

  const headers = new Headers(defaults);
  new Headers(init?.headers ?? request?.headers).forEach((value, name) => headers.set(name, value));
  const body = await orAbort(bodyOf(request, init, headers, signal), signal);
  if (body && (method === "GET" || method === "HEAD")) throw new TypeError(`Request with ${method} method cannot have body`);
  return {
    url: url.href.replace(/#.*/s, ""),
    head: { method, target: url.pathname + url.search, fields: fieldsOf(headers, host, body) },
    body: body ?? (method === "POST" || method === "PUT" ? { kind: "bytes", bytes: new Uint8Array(0) } : undefined),
    signal,
    redirect: init?.redirect ?? request?.redirect ?? "follow",
  };
}

/** Also one of another realm, or of a library. */
function requestOf(input: unknown): Request | undefined {
  if (typeof input !== "object" || input === null) return undefined;
  const { url, method, headers } = input as Partial<Request>;
  if (typeof url === "string" && typeof method === "string" && typeof headers === "object") return input as Request;
  if (String(input).startsWith("[object ")) throw new TypeError("fetch wants a URL, a text or a Request");
  return undefined;
}

/** The endpoint's own URLs: another origin could not be reached by this fetch, and must not seem to be. */
function urlOf(text: string, base: string): URL {
  if (!URL.canParse(text, base)) throw new TypeError(`Failed to parse URL from ${text}`);
  const url = new URL(text, base);
  if (url.username || url.password) throw new TypeError("a URL with a user or a password cannot be fetched");
  if (url.origin !== new URL(base).origin) {
    throw new TypeError(`this fetch reaches ${new URL(base).origin} alone, not ${url.origin}: give a path, or use the platform's fetch`);
  }
  return url;
}

function methodOf(given: string): string {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(given)) throw new TypeError(`'${given}' is not a valid HTTP method.`);
  const upper = given.toUpperCase();
  if (FORBIDDEN.has(upper)) throw new TypeError(`'${given}' HTTP method is unsupported.`);
  return NORMALISED.has(upper) ? upper : given;
}

function fieldsOf(headers: Headers, host: string, body: UploadBody | undefined): Field[] {
  const fields: Field[] = [["Host", host]];
  if (!headers.has("accept")) fields.push(["Accept", "*/*"]);
  headers.forEach((value, name) => {
    if (name === "host") return;
    if (REFUSED.has(name) || name.startsWith("proxy-")) throw new TypeError(`the header ${name} is not the caller's to set`);
    if (name === "content-length") return sameLength(value, body);
    fields.push([name, value]);
  });
  return fields;
}

function sameLength(value: string, body: UploadBody | undefined): void {
  const length = !body ? 0 : body.kind === "bytes" ? body.bytes.length : body.kind === "blob" ? body.blob.size : undefined;
  if (length === undefined || value !== String(length)) throw new TypeError(`the header content-length says ${value}, and the body has ${length ?? "no known length"}`);
}

async function bodyOf(
  request: Request | undefined, init: RequestInit | undefined, headers: Headers, signal: AbortSignal | undefined,
): Promise<UploadBody | undefined> {
  const given: unknown = init?.body;
  if (given === null) return undefined;
  if (given === undefined) return request ? ofRequest(request, init, signal) : undefined;
  if (given instanceof ReadableStream) return ofStream(given as ReadableStream<Uint8Array>, init);
  if (typeof given === "object" && Symbol.asyncIterator in given && !(given instanceof Blob)) {
    return ofStream(streamOf(given as AsyncIterable<Uint8Array>), init);
  }
  if (typeof given === "string") {
    if (!headers.has("content-type")) headers.set("content-type", "text/plain;charset=UTF-8");
    return { kind: "bytes", bytes: new TextEncoder().encode(given) };
  }
  if (given instanceof ArrayBuffer) return { kind: "bytes", bytes: new Uint8Array(given.slice(0)) };
  if (ArrayBuffer.isView(given)) return { kind: "bytes", bytes: new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice() };
  // The platform knows how each other kind is written down, and of which type it is.
  const written = new Response(given as BodyInit);
  const type = written.headers.get("content-type");
  if (type && !headers.has("content-type")) headers.set("content-type", type);
  if (given instanceof Blob) return { kind: "blob", blob: given };
  if (given instanceof FormData) return { kind: "blob", blob: await written.blob() };
  return { kind: "bytes", bytes: new Uint8Array(await written.arrayBuffer()) };
}

function ofStream(stream: ReadableStream<Uint8Array>, init: RequestInit | undefined): UploadBody {
  if ((init as { duplex?: string } | undefined)?.duplex !== "half") {
    throw new TypeError('RequestInit: duplex option is required when sending a body that is a stream: duplex: "half"');
  }
  if (stream.locked) throw new TypeError("the body's stream is locked");
  return { kind: "stream", stream };
}

function streamOf(pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(typeof value === "string" ? new TextEncoder().encode(value) : value);
    },
    async cancel(why) {
      await iterator.return?.(why);
    },
  }, { highWaterMark: 0 });
}

/** Short ones whole, so that their length can be told; long ones, and those with `duplex: "half"` said again, as a stream. */
async function ofRequest(request: Request, init: RequestInit | undefined, signal: AbortSignal | undefined): Promise<UploadBody | undefined> {
  if (request.bodyUsed) throw new TypeError("the Request's body was used before");
  if (request.body === null) return undefined;
  const stream = request.body as ReadableStream<Uint8Array> | undefined;
  if (typeof stream?.getReader !== "function") return ofHidden(request);
  if ((init as { duplex?: string } | undefined)?.duplex === "half") return { kind: "stream", stream };
  const reader = stream.getReader();
  const pieces: Uint8Array[] = [];
  const abort = (): void => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener("abort", abort);
  try {
    for (let length = 0; length <= GATHERED_MAX; length += pieces.at(-1)?.length ?? 0) {
      const { done, value } = await reader.read();
      if (done) return { kind: "bytes", bytes: new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer()) };
      pieces.push(value);
    }
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  return {
    kind: "stream",
    stream: new ReadableStream<Uint8Array>({
      async pull(controller) {
        const first = pieces.shift();
        if (first) return controller.enqueue(first);
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: why => reader.cancel(why),
    }, { highWaterMark: 0 }),
  };
}

/** Of a Request that has no stream to show: Firefox's, and those of libraries. */
async function ofHidden(request: Request): Promise<UploadBody | undefined> {
  const bytes = new Uint8Array(await request.arrayBuffer());
  return bytes.length ? { kind: "bytes", bytes } : undefined;
}

/** Whoever waits hears of the signal, whatever the work does. */
function orAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
