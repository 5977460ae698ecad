// What a case has: the world as it is told of, the means to change it, and the options that lead to it.

let cases = 0;

export function makeWorld({ api, about, variation = {}, control, runtime, name, files, WebSocket }) {
  const tag = `${name.replace(/[^a-z0-9]+/g, '-')}.${++cases}.${Math.floor(Math.random() * 1e9)}`;
  const world = {
    ...about,
    tag, control, runtime, variation, files,
    get policy() { return structuredClone(about.policy); },
    /** Options of createAtlsFetch that lead to the simulated machine. */
    options: extra => ({
      proxyUrl: about.bridge, targetHost: about.target, policy: structuredClone(about.policy), roots: about.ca, simulation: true,
      ...(runtime === 'node' ? { WebSocket } : {}), ...variation, ...extra,
    }),
    fetcher: extra => api.createAtlsFetch(world.options(extra)),
    /** For AtlsHttp and AttestedStream. */
    url: (target = about.target) => `${about.bridge}/?target=${encodeURIComponent(target)}`,
    connectOptions: extra => {
      const { proxyUrl, targetHost, policy, ...rest } = world.options(extra);
      return rest;
    },
    /** A path that tells the application whose request it is. */
    path: (path, more = '') => `${path}?t=${tag}${more}`,
    /** A fetcher for something else that listens. */
    at: (port, extra) => world.fetcher({ targetHost: `localhost:${port}`, ...extra }),
    note: () => control('note', { tag }),
    go: (count = 1) => control('go', { tag, count }),
    wait: (what, least = 1) => control('wait', { tag, name: what, least }),
    /** The pool of this page; that of a worker is its own. */
    pool: () => api.getConnectionPoolStats(),
  };
  return world;
}

/** All bytes of a stream, and the sizes in which they came. */
export async function collect(stream) {
  const pieces = [];
  for (let reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
  }
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export const text = bytes => new TextDecoder().decode(bytes);
export const bytes = string => new TextEncoder().encode(string);
export const hex = buffer => [...new Uint8Array(buffer)].map(byte => byte.toString(16).padStart(2, '0')).join('');
export const sha256 = async data => hex(await crypto.subtle.digest('SHA-256', data));
