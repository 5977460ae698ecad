// WebSocketStream, where a browser has it. One job: as transport-websocket, but what nobody reads is not taken from the network.
import { SEND_HIGH, textInstead, type Transport, type TransportEnd, type TransportEvents } from "./transport.js";

interface Opened {
  readable: ReadableStream<Uint8Array | ArrayBuffer | string>;
  writable: WritableStream<Uint8Array>;
}
interface Closed {
  closeCode?: number;
  reason?: string;
}
interface WebSocketStreamLike {
  opened: Promise<Opened>;
  closed: Promise<Closed>;
  close(info?: Closed): void;
}
type WebSocketStreamConstructor = new (url: string, options?: { protocols?: string[] }) => WebSocketStreamLike;

export function openWebSocketStream(url: string, protocols: string[], events: TransportEvents): Transport {
  const Socket = (globalThis as unknown as { WebSocketStream: WebSocketStreamConstructor }).WebSocketStream;
  const socket = new Socket(url, protocols.length ? { protocols } : {});
  let writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  let unsent = 0;
  let sendable: (() => void) | undefined;
  let paused = false;
  let resumed: (() => void) | undefined;
  let ended = false;

  const closed = socket.closed.then(
    ({ closeCode, reason }) => ({ code: closeCode ?? 1005, reason: reason ?? "" }),
    (cause: Closed) => ({ code: cause.closeCode ?? 1006, reason: cause.reason ?? "", cause }),
  );
  const over = (how: TransportEnd): void => {
    if (ended) return;
    ended = true;
    sendable?.();
    events.end(how);
  };
  const end = async (cause?: unknown): Promise<void> => {
    const how = await closed;
    over(cause ? { ...how, cause } : how);
  };

  const receive = async (readable: Opened["readable"]): Promise<void> => {
    const reader = readable.getReader();
    // A close that comes while nothing is read shows in reader.closed only after what came before it.
    for (;;) {
      if (paused) await new Promise<void>(resolve => (resumed = resolve));
      const { done, value } = await reader.read();
      if (done) return;
      if (typeof value === "string") {
        // It may take its time to answer the Close.
        socket.close();
        return over({ code: 1006, reason: "", cause: textInstead() });
      }
      events.message(value instanceof Uint8Array ? value : new Uint8Array(value));
    }
  };

  socket.opened.then(async ({ readable, writable }) => {
    writer = writable.getWriter();
    writer.closed.catch(() => {});
    events.open();
    try {
      await receive(readable);
      await end();
    } catch (cause) {
      await end(cause);
    }
  }, end);

  return {
    pausable: true,
    send(bytes) {
      if (!writer || ended) return;
      const { length } = bytes;
      unsent += length;
      const left = (): void => {
        unsent -= length;
        if (unsent <= SEND_HIGH / 2) sendable?.();
      };
      writer.write(bytes.slice()).then(left, () => {}); // a copy: it may wait; what fails never leaves
    },
    drained() {
      if (ended || unsent <= SEND_HIGH) return undefined;
      return new Promise(resolve => (sendable = resolve));
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      resumed?.();
    },
    hold() {},
    close() {
      resumed?.();
      try {
        socket.close({ closeCode: 1000 });
      } catch {
        // It had not opened, or has ended.
      }
    },
  };
}
