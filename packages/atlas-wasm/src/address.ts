// Where the bridge and the endpoint are. One job: from what the caller wrote to a WebSocket URL, a base URL and names; pure.
import { AtlsError } from "./errors.js";
import { isLoopback } from "./environment.js";

export interface Address {
  /** The bridge, with its target. */
  wsUrl: string;
  /** https://host[:port], what relative URLs are relative to. */
  base: string;
  /** Of requests: without the port 443. */
  host: string;
  serverName: string;
}

export interface Surroundings {
  production: boolean;
  pageUrl: string | undefined;
}

export function addressOf(proxyUrl: string, targetHost: string, serverName: string | undefined, here: Surroundings): Address {
  if (!proxyUrl || !targetHost) throw new TypeError("proxyUrl and targetHost are required for aTLS fetch");
  const target = targetOf(targetHost);
  const proxy = proxyOf(proxyUrl, here);
  proxy.searchParams.set("target", `${target.host}:${target.port}`);
  const host = target.port === 443 ? target.host : `${target.host}:${target.port}`;
  return { wsUrl: proxy.href, base: `https://${host}`, host, serverName: serverName || target.host.replace(/^\[|\]$/g, "") };
}

export function proxyOf(proxyUrl: string, here: Surroundings): URL {
  const text = proxyUrl.trim();
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `ws://${text.replace(/^\/+/, "")}`;
  if (!URL.canParse(whole)) throw new TypeError(`the aTLS proxy URL is no URL: it must be as wss://proxy.example.com`);
  const url = new URL(whole);
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new TypeError(`the aTLS proxy URL must begin with wss:// or ws://, not ${url.protocol}//`);
  }
  url.hash = "";
  if (url.protocol === "wss:" || isLoopback(url.hostname)) return url;
  if (here.production) throw new Error("aTLS proxy URL must use wss:// in production");
  if (here.pageUrl?.startsWith("https:")) {
    throw new AtlsError(
      `a page served over https may not open ${url.origin}: the browser would block it as mixed content. Give the proxy a certificate and use wss://`,
      { category: "proxy_connection", code: "mixed_content", retryable: false },
    );
  }
  return url;
}

function targetOf(targetHost: string): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/?#@[\]\\%]+)(?::(\d{1,5}))?$/.exec(targetHost.trim());
  const port = match?.[2] === undefined ? 443 : Number(match[2]);
  if (!match?.[1] || port < 1 || port > 65535) {
    throw new TypeError(`targetHost must be host or host:port, not ${JSON.stringify(targetHost.replace(/.*@/s, "…@").replace(/[?#].*/s, "…"))}`);
  }
  return { host: match[1].toLowerCase(), port };
}
