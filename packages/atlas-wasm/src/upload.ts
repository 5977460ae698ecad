// The body of a request, whatever it was made of. One job: pieces in order, with their number of bytes where it is known.

/** As it travels between page and worker, too. */
export type UploadBody =
  | { kind: "bytes"; bytes: Uint8Array }
  | { kind: "blob"; blob: Blob }
  | { kind: "stream"; stream: ReadableStream<Uint8Array> };

export interface Upload {
  /** Undefined: not known. */
  readonly length: number | undefined;
  /** The next piece; undefined: that was all. */
  next(): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  cancel(why: unknown): void;
}

const PIECE = 256 * 1024;

/** Can it be sent a second time? */
export const repeatable = (body: UploadBody | undefined): boolean => body?.kind !== "stream";

export function uploadOf(body: UploadBody): Upload {
  if (body.kind === "bytes") return ofBytes(body.bytes);
  return body.kind === "blob" ? ofBlob(body.blob) : ofStream(body.stream);
}

function ofBytes(bytes: Uint8Array): Upload {
  let at = 0;
  return {
    length: bytes.length,
    next: () => (at < bytes.length ? bytes.subarray(at, (at += PIECE)) : undefined),
    cancel() {},
  };
}

function ofBlob(blob: Blob): Upload {
  let at = 0;
  return {
    length: blob.size,
    async next() {
      return at < blob.size ? new Uint8Array(await blob.slice(at, (at += PIECE)).arrayBuffer()) : undefined;
    },
    cancel() {},
  };
}

function ofStream(stream: ReadableStream<Uint8Array>): Upload {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined; // from the first piece on: until then another try may have it
  return {
    length: undefined,
    async next() {
      reader ??= stream.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return undefined;
        if (!ArrayBuffer.isView(value)) throw new TypeError("a request's stream must give Uint8Arrays");
        if (value.byteLength) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      }
    },
    cancel(why) {
      (reader ?? stream).cancel(why).catch(() => {});
    },
  };
}
