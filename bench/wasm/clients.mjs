// Clients that both runtimes have: of attested TLS, and the platform's own fetch.
import { pilingUp } from './piling.mjs';

const PIECE = 256 * 1024;

async function drain(response, tell = () => {}) {
  if (!response.ok) throw new Error(`status ${response.status}`);
  const reader = response.body.getReader();
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes += value.length;
    tell(bytes);
  }
}

/** What an answer that has come already costs in the module: milliseconds for each byte, of every piece of it. */
function decrypting(api, job, clock, WebSocket) {
  const { Piling, piled } = pilingUp(WebSocket);
  let fetch;
  return async (path, length) => {
    fetch ??= api.createAtlsFetch({ ...job.options, transport: 'websocket', WebSocket: Piling });
    piled.bytes = 0;
    const response = await fetch(path);
    while (piled.bytes < length) await new Promise(resolve => setTimeout(resolve, 1));
    const costs = [];
    let before = { ms: clock.ms, bytes: 0 };
    await drain(response, bytes => {
      if (bytes - before.bytes < PIECE) return;
      costs.push((clock.ms - before.ms) / (bytes - before.bytes));
      before = { ms: clock.ms, bytes };
    });
    return costs.slice(1); // of the first some was decrypted before
  };
}

/** api: a module with createAtlsFetch, ready; job: where to, and the evidence to judge. */
export function attested(api, job, clock, WebSocket) {
  const open = () => api.createAtlsFetch(job.options);
  const fetch = open();
  return {
    clock,
    ...(clock ? { decrypt: decrypting(api, job, clock, WebSocket) } : {}),
    async connect() {
      const one = open();
      // Where there is no way to connect without one, a request comes on top.
      await (one.warmup ? one.warmup() : one('/1').then(drain));
      if (one.close) one.close();
      else api.closeAllConnections();
    },
    get: async path => drain(await fetch(path)),
    ...(api.verifyQuote ? { verify: () => api.verifyQuote(job.evidence) } : {}),
    close: () => api.closeAllConnections(),
  };
}

export const plainFetch = job => ({
  get: async path => drain(await fetch(`https://${job.options.targetHost}${path}`, { cache: 'no-store' })),
});
