// The WebSocket to the bridge, whatever makes it. One job: what a connection wants of it, and which kind there is.
import { openNodeSocket } from "./transport-node.js";
import { openWebSocket } from "./transport-websocket.js";
import { openWebSocketStream } from "./transport-websocketstream.js";
import type { TransportKind, WebSocketConstructor } from "./types.js";

/** How it ended, or why it never opened. */
export interface TransportEnd {
  /** Of the Close frame; 1006: none came. */
  code: number;
  /** The bridge's word. */
  reason: string;
  /** Of the answer that refused the upgrade, where the platform shows it. */
  status?: number;
  cause?: unknown;
}

export interface TransportEvents {
  open(): void;
  /** Bytes are the receiver's to keep. */
  message(bytes: Uint8Array): void;
  /** Once, after the last message; also when it never opened. */
  end(end: TransportEnd): void;
}

export interface Transport {
  /** The bytes are lent for the call. After the end they go nowhere. */
  send(bytes: Uint8Array): void;
  /** Undefined: send on; else wait first: for room, or, when the other end is going, for the end. */
  drained(): Promise<void> | undefined;
  /** Whether pause() holds the other end back. */
  readonly pausable: boolean;
  pause(): void;
  resume(): void;
  /** Whether it may keep a program alive that has nothing else to do. */
  hold(busy: boolean): void;
  close(): void;
}

export type OpenTransport = (url: string, events: TransportEvents) => Transport;

export interface TransportOptions {
  transport?: TransportKind | undefined;
  WebSocket?: WebSocketConstructor | undefined;
  protocols?: string | readonly string[] | undefined;
}

/**
 * What carries much. In Chromium (156, say) the page crashes when a WebSocketStream loses its connection while a write waits; so what
 * may have to wait goes over a plain WebSocket, unless the caller chose.
 */
export function forBulk<T extends TransportOptions>(options: T): T {
  const choice = (options.transport ?? "auto") === "auto" && !options.WebSocket && "WebSocketStream" in globalThis;
  return choice ? { ...options, transport: "websocket" } : options;
}

/** Bytes that were sent and have not left: with more, writers wait. */
export const SEND_HIGH = 4 * 1024 * 1024;

export const textInstead = (): Error => new Error("the proxy sent text, which no TLS is");

export async function chooseTransport(options: TransportOptions): Promise<OpenTransport> {
  const protocols = options.protocols === undefined ? [] : [options.protocols].flat() as string[];
  const kind = options.transport ?? "auto";
  if (kind === "websocketstream" || (kind === "auto" && !options.WebSocket)) {
    if ("WebSocketStream" in globalThis) return (url, events) => openWebSocketStream(url, protocols, events);
    if (kind === "websocketstream") throw new TypeError("this platform has no WebSocketStream: use transport \"auto\"");
  }
  const given = options.WebSocket ?? globalThis.WebSocket ?? (await fromPackage());
  // Those of the package ws can be held back; the platform's own cannot.
  return "pause" in given.prototype
    ? (url, events) => openNodeSocket(given, url, protocols, events)
    : (url, events) => openWebSocket(given, url, protocols, events);
}

async function fromPackage(): Promise<WebSocketConstructor> {
  const name = "ws";
  try {
    return ((await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as { default: WebSocketConstructor }).default;
  } catch (cause) {
    throw new TypeError(
      "this platform has no WebSocket: run `npm install ws`, give its constructor as the option WebSocket, or use Node.js 22", { cause },
    );
  }
}
