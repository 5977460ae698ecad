// Options of createAtlsFetch, one by one.
import { equal, like, ok, rejects, settled, throws, until } from '../check.mjs';

const headersOf = told => Object.fromEntries(told.headers.map(([name, value]) => [name.toLowerCase(), value]));
const tell = async (fetch, world, init) => (await fetch(world.path('/tell'), init)).json();

/** With process.env.NODE_ENV as it is in production builds. */
async function inProduction(work) {
  const had = globalThis.process;
  if (had) {
    const before = had.env.NODE_ENV;
    had.env.NODE_ENV = 'production';
    try {
      return await work();
    } finally {
      if (before === undefined) delete had.env.NODE_ENV;
      else had.env.NODE_ENV = before;
    }
  }
  globalThis.process = { env: { NODE_ENV: 'production' } };
  try {
    return await work();
  } finally {
    delete globalThis.process;
  }
}

export const cases = [
  {
    name: 'that are missing are named at once',
    worker: false,
    async run(api, world) {
      const missing = /^proxyUrl and targetHost are required for aTLS fetch$/;
      const { proxyUrl, targetHost, policy, ...rest } = world.options();
      like(throws(() => api.createAtlsFetch({ ...rest, targetHost, policy }), { message: missing }), { is: Error });
      throws(() => api.createAtlsFetch({ ...rest, proxyUrl, policy }), { message: missing });
      throws(() => api.createAtlsFetch({ ...rest, proxyUrl: '', targetHost: '', policy }), { message: missing });
      throws(() => api.createAtlsFetch({ ...rest, proxyUrl, targetHost }), { message: /^policy is required for aTLS verification\. See docs for policy format\.$/ });
      for (const wrong of ['https://bridge.test/', 'ftp://bridge.test', 'ws://', 'ws://x:99999']) throws(() => api.createAtlsFetch({ ...rest, proxyUrl: wrong, targetHost, policy }), { is: Error });
      for (const wrong of ['a b', 'host:0', 'host:65536', 'host:x', 'https://host', 'user@host', 'host/path']) throws(() => api.createAtlsFetch({ ...rest, proxyUrl, targetHost: wrong, policy }), { is: Error }, wrong);
    },
  },
  {
    name: 'that nobody knows or that are of the wrong kind are errors',
    worker: false,
    async run(api, world) {
      for (const [name, value] of Object.entries({
        maxConnections: 0, attestationTtl: -1, transport: 'pigeon', maxBufferedBytes: 'much', timeouts: { connect: -1 }, collateral: { cache: 'disk' }, roots: 5,
        onAttestation: 'yes',
      })) throws(() => world.fetcher({ [name]: value }), { is: Error, message: new RegExp(name) }, name);
    },
  },
  {
    name: 'proxyUrl is read generously',
    essential: true,
    async run(api, world) {
      const at = world.bridge.slice(5);
      for (const proxyUrl of [at, `//${at}`, `ws://${at}`, `ws://${at}/`, `ws://${at}/?target=elsewhere.test:1&other=1`, `ws://${at}/any/path?x=y`]) {
        const answer = await world.fetcher({ proxyUrl })(world.path('/tell'));
        equal(answer.status, 200, proxyUrl);
      }
    },
  },
  {
    name: 'proxyUrl must be wss in production, but on this machine',
    worker: false,
    async run(api, world) {
      await inProduction(async () => {
        const make = proxyUrl => api.createAtlsFetch({ ...world.options(), proxyUrl });
        for (const far of ['ws://bridge.test/', 'bridge.test', 'ws://10.0.0.1', 'ws://127.0.0.1.evil.test', 'ws://localhost.evil.test']) {
          throws(() => make(far), { message: /^aTLS proxy URL must use wss:\/\/ in production$/ }, far);
        }
        for (const near of ['ws://localhost:1', 'ws://127.0.0.1:1', 'ws://127.8.9.10', 'ws://[::1]:1', 'wss://bridge.test']) make(near);
      });
    },
  },
  {
    name: 'no simulation in production whatever they say',
    fresh: true,
    worker: false,
    async run(api, world) {
      await api.init({ simulation: true });
      await inProduction(() => rejects((async () => world.fetcher({ simulation: true })(world.path('/tell')))(), { is: api.AtlsError, category: 'policy', message: /simulat/i }));
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'targetHost becomes Host and the certificate name',
    async run(api, world) {
      equal(headersOf(await tell(world.fetcher(), world)).host, world.target);
      // An address is in the certificate, too.
      equal(headersOf(await tell(world.fetcher({ targetHost: `127.0.0.1:${world.port}` }), world)).host, `127.0.0.1:${world.port}`);
      // Without a port: 443, where nobody is.
      const refused = await rejects(world.fetcher({ targetHost: 'localhost' })(world.path('/tell')), { is: api.AtlsError, category: 'proxy_connection' });
      ok(/connect-refused|1014/.test(refused.message), refused.message);
    },
  },
  {
    name: 'serverName is whom the certificate is for',
    essential: true,
    async run(api, world) {
      equal((await world.fetcher({ targetHost: `127.0.0.1:${world.port}`, serverName: 'localhost' })(world.path('/tell'))).status, 200);
      await rejects(world.fetcher({ serverName: 'other.test' })(world.path('/other')), { is: api.AtlsError, category: 'handshake', code: 'tls_handshake' });
      for (const serverName of ['a b', '.localhost', 'localhost.', '*.localhost', 'local\0host', 'localhost\r\nX: y']) {
        await rejects((async () => world.fetcher({ serverName })(world.path('/other')))(), { is: Error }, `serverName ${JSON.stringify(serverName)}`);
      }
      equal((await world.note()).seen.length, 1, 'requests that arrived');
    },
  },
  {
    name: 'defaultHeaders come first and give way',
    async run(api, world) {
      const fetch = world.fetcher({ defaultHeaders: { Authorization: 'Bearer default', 'X-Default': 'a', 'X-Other': 'kept' } });
      const seen = headersOf(await tell(fetch, world, { headers: { authorization: 'Bearer mine', 'x-default': 'b', 'X-New': 'c' } }));
      equal([seen.authorization, seen['x-default'], seen['x-other'], seen['x-new']], ['Bearer mine', 'b', 'kept', 'c']);
      equal(headersOf(await tell(fetch, world)).authorization, 'Bearer default');
      equal(headersOf(await tell(world.fetcher({ defaultHeaders: [['X-Pair', '1']] }), world))['x-pair'], '1');
      equal(headersOf(await tell(world.fetcher({ defaultHeaders: new Headers({ 'X-Object': '2' }) }), world))['x-object'], '2');
      throws(() => world.fetcher({ defaultHeaders: { 'X Bad': 'a' } }), { is: TypeError });
      throws(() => world.fetcher({ defaultHeaders: { 'X-Bad': 'a\r\nX-Injected: b' } }), { is: TypeError });
    },
  },
  {
    name: 'policy as text',
    async run(api, world) {
      equal((await world.fetcher({ policy: JSON.stringify(world.policy) })(world.path('/tell'))).status, 200);
      await rejects((async () => world.fetcher({ policy: '{"type":' })(world.path('/tell')))(), { is: api.AtlsError, category: 'policy', message: /invalid policy/ });
    },
  },
  {
    name: 'roots stand in place of the others, extraRoots beside them',
    async run(api, world) {
      const { roots, ...options } = world.options();
      equal((await api.createAtlsFetch({ ...options, extraRoots: roots })(world.path('/tell'))).status, 200);
      equal((await api.createAtlsFetch({ ...options, roots, extraRoots: world.root })(world.path('/tell'))).status, 200);
      await rejects(api.createAtlsFetch({ ...options, roots: world.root })(world.path('/no')), { is: api.AtlsError, category: 'handshake', code: 'tls_handshake' });
      for (const wrong of [{ roots: 'no PEM at all' }, { extraRoots: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }]) {
        await rejects((async () => api.createAtlsFetch({ ...options, ...wrong })(world.path('/no')))(), { is: Error }, JSON.stringify(wrong));
      }
      equal((await world.note()).seen.length, 2, 'requests that arrived');
    },
  },
  {
    name: 'timeouts end what hangs',
    essential: true,
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'silent' });
      const late = { is: api.AtlsError, category: 'timeout', code: 'timeout', retryable: true };
      // A bridge that never answers, and an endpoint that never does.
      await rejects(world.fetcher({ proxyUrl: `ws://127.0.0.1:${port}`, timeouts: { connect: 100 } })(world.path('/late')), late, 'the bridge');
      await rejects(world.at(port, { timeouts: { connect: 100 } })(world.path('/late')), late, 'the handshake');
      await world.control('hold_quotes');
      await rejects(world.fetcher({ timeouts: { attest: 100 } })(world.path('/late')), late, 'the quote');
      await world.control('release_quotes');
      equal((await world.note()).seen, []);
      await rejects(world.fetcher({ timeouts: { response: 100 } })(world.path('/gate')), late, 'the answer');
      await world.control('tunnels', { count: 0 });
    },
  },
  {
    name: 'timeouts do not count what is well',
    async run(api, world) {
      // Each of them is over before the next begins, and none goes on within a body.
      const fetch = world.fetcher({ timeouts: { response: 5_000 } });
      const answer = await fetch(world.path('/stream/2'));
      const reader = answer.body.getReader();
      await reader.read();
      const second = reader.read();
      ok(!await settled(second), 'the second event waits');
      await world.go();
      equal((await second).done, false);
      equal((await reader.read()).done, true);
      const none = world.fetcher({ timeouts: { connect: 0, attest: 0, collateral: 0, response: 0 } });
      equal((await none(world.path('/tell'))).status, 200, 'without limits');
    },
  },
  {
    name: 'WebSocket is the constructor that is used',
    worker: false,
    async run(api, world) {
      const urls = [];
      const Base = world.options().WebSocket ?? globalThis.WebSocket;
      class Mine extends Base {
        constructor(url, ...rest) {
          super(url, ...rest);
          urls.push(String(url));
        }
      }
      equal((await world.fetcher({ WebSocket: Mine })(world.path('/tell'))).status, 200);
      equal(urls.length, 1);
      equal(new URL(urls[0]).searchParams.get('target'), world.target);
    },
  },
  {
    name: 'transport chooses by what is sent',
    only: 'browser',
    worker: false,
    async run(api, world) {
      const made = [];
      const originals = { WebSocket, WebSocketStream };
      for (const [name, Original] of Object.entries(originals)) {
        globalThis[name] = class extends Original {
          constructor(...given) {
            super(...given);
            made.push(name);
          }
        };
      }
      try {
        const post = async (body, transport) => {
          const answer = await world.fetcher(transport ? { transport } : {})(world.path('/digest'), { method: 'POST', body, ...(body instanceof ReadableStream ? { duplex: 'half' } : {}) });
          await answer.text();
          api.closeAllConnections();
          return made.splice(0);
        };
        const stream = () => new ReadableStream({ start(controller) { controller.close(); } });
        equal(await post('small'), ['WebSocketStream']);
        equal(await post(new Uint8Array(40_000)), ['WebSocket']);
        equal(await post(new Blob([new Uint8Array(40_000)])), ['WebSocket']);
        equal(await post(stream()), ['WebSocket']);
        equal(await post('small', 'websocket'), ['WebSocket']);
        equal(await post(new Uint8Array(40_000), 'websocketstream'), ['WebSocketStream']);
      } finally {
        Object.assign(globalThis, originals);
      }
    },
  },
  {
    name: 'WebSocket is found where ws is installed',
    only: 'node',
    fresh: true,
    worker: false,
    async run(api, world) {
      const { WebSocket, ...options } = world.options();
      const { createRequire } = await import('node:module');
      const { mkdir, symlink } = await import('node:fs/promises');
      const { dirname } = await import('node:path');
      if (!globalThis.WebSocket) {
        const error = await rejects(api.createAtlsFetch(options)(world.path('/tell')), { is: Error, message: /\bws\b/ });
        ok(/WebSocket/.test(error.message), error.message);
      }
      const place = new URL('../../../ws', world.files);
      await mkdir(new URL('..', place), { recursive: true });
      await symlink(dirname(createRequire(import.meta.url).resolve('ws/package.json')), place);
      ok(WebSocket, 'ws');
      equal((await api.createAtlsFetch(options)(world.path('/tell'))).status, 200);
    },
  },
  {
    name: 'maxConnections and idleTimeout and maxRequestsPerConnection',
    worker: false,
    async run(api, world) {
      const before = await world.control('tunnels_begun');
      const fetch = world.fetcher({ maxRequestsPerConnection: 3 });
      for (let n = 0; n < 7; n++) equal((await (await fetch(world.path('/tell'))).json()).method, 'GET');
      equal(await world.control('tunnels_begun') - before, 3, 'connections for seven requests');
      api.closeAllConnections();
      const brief = world.fetcher({ idleTimeout: 50 });
      await (await brief(world.path('/tell'))).json();
      await until(() => world.pool().total === 0, 'an idle connection is closed');
      await world.control('tunnels', { count: 0 });
    },
  },
];
