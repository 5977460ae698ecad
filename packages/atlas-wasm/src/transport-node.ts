// The package ws, in Node.js. One job: as transport-websocket, with real backpressure both ways and the status of a refusal.
import { SEND_HIGH, type Transport, type TransportEvents } from "./transport.js";
import type { WebSocketConstructor } from "./types.js";

const REFUSAL_MAX = 1024;
/* The bridge's are of 1 MiB at most; a larger one would be kept whole before anybody can hold it back. */
const MESSAGE_MAX = 4 * 1024 * 1024;

interface NodeStream {
  on(event: string, listener: (...given: never[]) => void): this;
  ref?(): void;
  unref?(): void;
}
interface Answer extends NodeStream {
  statusCode?: number;
  socket: NodeStream;
}
interface NodeSocket {
  binaryType: string;
  readyState: number;
  on(event: string, listener: (...given: never[]) => void): this;
  send(bytes: Uint8Array, options: object, sent: () => void): void;
  pause(): void;
  resume(): void;
  close(code?: number): void;
  terminate(): void;
}

export function openNodeSocket(Socket: WebSocketConstructor, url: string, protocols: string[], events: TransportEvents): Transport {
  const socket = new Socket(url, protocols, { perMessageDeflate: false, maxPayload: MESSAGE_MAX, followRedirects: false }) as unknown as NodeSocket;
  let tcp: NodeStream | undefined;
  let refusal: { status: number; reason: string } | undefined;
  let failure: unknown;
  let unsent = 0;
  let sendable: (() => void) | undefined;
  let ended = false;

  socket.binaryType = "nodebuffer";
  socket.on("upgrade", (answer: Answer) => {
    tcp = answer.socket;
  });
  socket.on("open", () => events.open());
  socket.on("message", (bytes: Uint8Array, binary: boolean) => {
    if (binary) return events.message(bytes);
    failure ??= new Error("the proxy sent text, which no TLS is");
    socket.terminate();
  });
  socket.on("unexpected-response", (_request: unknown, answer: Answer) => {
    let body = "";
    answer.on("data", (piece: Uint8Array) => {
      if (body.length < REFUSAL_MAX) body += new TextDecoder().decode(piece);
    });
    answer.on("close", () => {
      refusal = { status: answer.statusCode ?? 0, reason: wordOf(body) };
      socket.terminate();
    });
  });
  socket.on("error", (error: Error) => {
    failure ??= error;
  });
  socket.on("close", (code: number, reason: Uint8Array) => {
    ended = true;
    sendable?.();
    events.end({ code, reason: new TextDecoder().decode(reason), ...refusal, cause: refusal ? undefined : failure });
  });

  return {
    pausable: true,
    send(bytes) {
      if (socket.readyState !== 1) return;
      const { length } = bytes;
      unsent += length;
      // ws masks into a buffer of its own before it returns.
      socket.send(bytes, { binary: true, compress: false }, () => {
        unsent -= length;
        if (socket.readyState === 1 && unsent <= SEND_HIGH / 2) sendable?.();
      });
    },
    drained() {
      if (ended || (socket.readyState <= 1 && unsent <= SEND_HIGH)) return undefined;
      return new Promise(resolve => (sendable = resolve));
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    hold(busy) {
      if (busy) tcp?.ref?.();
      else tcp?.unref?.();
    },
    close() {
      socket.resume(); // or the other end's Close would never be seen
      socket.close(1000);
      tcp?.unref?.();
    },
  };
}

/* {"error":"…"} is how the bridge says it. */
function wordOf(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === "string" ? error : "";
  } catch {
    return "";
  }
}
