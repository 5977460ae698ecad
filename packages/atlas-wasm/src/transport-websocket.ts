// The browser's WebSocket. One job: to send, and to hand over what comes. It cannot be held back: what nobody reads piles up.
import { SEND_HIGH, textInstead, type Transport, type TransportEnd, type TransportEvents } from "./transport.js";
import type { WebSocketConstructor } from "./types.js";

/* There is no event for it. */
const LOOK_MS = 2;

export function openWebSocket(Socket: WebSocketConstructor, url: string, protocols: string[], events: TransportEvents): Transport {
  const socket = new Socket(url, protocols) as WebSocket;
  let failure: unknown;
  let ended = false;
  const over = (how: TransportEnd): void => {
    if (ended) return;
    ended = true;
    events.end(how);
  };
  socket.binaryType = "arraybuffer";
  socket.onopen = () => events.open();
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data instanceof ArrayBuffer) return events.message(new Uint8Array(data));
    // It may take its time to answer the Close.
    socket.close();
    over({ code: 1006, reason: "", cause: textInstead() });
  };
  socket.onerror = event => {
    failure ??= (event as ErrorEvent).error ?? undefined;
  };
  socket.onclose = ({ code, reason }) => over({ code, reason, cause: failure });

  return {
    pausable: false,
    send(bytes) {
      if (socket.readyState === 1) socket.send(bytes as Uint8Array<ArrayBuffer>);
    },
    drained() {
      if (ended || (socket.readyState <= 1 && socket.bufferedAmount <= SEND_HIGH)) return undefined;
      return new Promise(resolve => {
        const look = (): void => {
          if (ended || (socket.readyState === 1 && socket.bufferedAmount <= SEND_HIGH / 2)) resolve();
          else setTimeout(look, LOOK_MS);
        };
        look();
      });
    },
    pause() {},
    resume() {},
    hold() {},
    close: () => socket.close(1000),
  };
}
