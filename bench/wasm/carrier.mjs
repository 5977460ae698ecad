// The bridge's WebSocket alone, straight to the application: no TLS in it, no proof. What lies above it cannot be faster.
import { plainHttp } from './http.mjs';

export function carrier(job, WebSocket) {
  let kept;
  let http;
  return {
    async get(path) {
      if (!kept) {
        kept = new WebSocket(`${job.options.proxyUrl}/?target=${job.application}`);
        kept.binaryType = 'arraybuffer';
        http = plainHttp(job.application, text => kept.send(new TextEncoder().encode(text)));
        kept.onmessage = ({ data }) => http.take(new Uint8Array(data));
        kept.onclose = http.broken;
        await new Promise((resolve, reject) => Object.assign(kept, { onopen: resolve, onerror: () => reject(new Error('no WebSocket')) }));
      }
      return http.get(path);
    },
    close: () => kept?.close(),
  };
}
