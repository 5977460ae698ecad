// What a bridge may refuse, and how people hear of it.
import { equal, ok, rejects } from '../check.mjs';

/** A request through that bridge; its error, which is one of the bridge. */
async function refused(api, world, extra, what) {
  const error = await rejects(world.fetcher(extra)(world.path('/tell')), { is: api.AtlsError, category: 'proxy_connection' }, what);
  equal((await world.note()).seen, [], what);
  return error;
}

export const cases = [
  {
    name: 'a target that is not allowed',
    essential: true,
    async run(api, world) {
      const error = await refused(api, world, { targetHost: 'elsewhere.test:443' });
      // Pages read the Close frame; others the status of the handshake.
      ok(/target-not-allowed/.test(error.message) && /1008/.test(error.message) || /403/.test(error.message), error.message);
      if (world.runtime === 'browser') ok(/target-not-allowed/.test(error.message), error.message);
      equal(error.retryable, world.runtime === 'node' ? error.retryable : false, 'retryable');
    },
  },
  {
    name: 'a target that refuses connections',
    essential: true,
    async run(api, world) {
      const error = await refused(api, world, { targetHost: 'localhost:9' });
      ok(/1014/.test(error.message) && /connect-refused/.test(error.message), error.message);
      equal(error.retryable, true);
    },
  },
  {
    name: 'a target whose name nobody knows',
    async run(api, world) {
      const error = await refused(api, world, { targetHost: 'nowhere.test' });
      ok(/1014/.test(error.message) && /dns-failure/.test(error.message), error.message);
    },
  },
  {
    name: 'a bridge that is not there',
    essential: true,
    async run(api, world) {
      const error = await refused(api, world, { proxyUrl: 'ws://127.0.0.1:9' });
      ok(error.message.includes('127.0.0.1:9'), error.message);
      equal(error.retryable, true);
    },
  },
  {
    name: 'a bridge that the page must not reach',
    only: 'browser',
    worker: false,
    violates: true,
    async run(api, world) {
      const error = await refused(api, world, { proxyUrl: world.bridge.replace('127.0.0.1', 'localhost') });
      ok(/connect-src|Content[ -]Security[ -]Policy|CSP/i.test(error.message), error.message);
    },
  },
  {
    name: 'a page that is not welcome',
    only: 'browser',
    async run(api, world) {
      const proxyUrl = await world.control('bridge_other', { origins: 'https://app.test' });
      await refused(api, world, { proxyUrl });
    },
  },
  {
    name: 'a token is offered as a subprotocol',
    async run(api, world) {
      const token = 'the token of a page';
      const proxyUrl = await world.control('bridge_with_token', { token });
      const offer = ['binary', `bearer.${btoa(token).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')}`];
      equal((await world.fetcher({ proxyUrl, protocols: offer })(world.path('/tell'))).status, 200);
      const error = await rejects(world.fetcher({ proxyUrl, protocols: ['binary'] })(world.path('/tell')), { is: api.AtlsError, category: 'proxy_connection' });
      if (world.runtime === 'node') ok(/401/.test(error.message), error.message);
      ok(!error.message.includes(token), 'the token is nobody else\'s business');
      equal((await world.note()).seen.length, 1);
    },
  },
  {
    name: 'a bridge that is full',
    async run(api, world) {
      const proxyUrl = await world.control('bridge_other', { max_per_ip: 1 });
      const fetch = world.fetcher({ proxyUrl });
      const stream = await fetch(world.path('/stream/2'));
      await rejects(fetch(world.path('/tell')), { is: api.AtlsError, category: 'proxy_connection' });
      await world.go();
      await stream.text();
      equal((await fetch(world.path('/tell'))).status, 200, 'on the connection that there is');
      equal((await world.note()).seen.length, 2);
    },
  },
  {
    name: 'every Close code and its reason are shown',
    essential: true,
    async run(api, world) {
      for (const [code, reason, retryable] of [[1001, 'draining', true], [1008, 'rate-exceeded', null], [1011, 'internal', null], [1013, 'overloaded', true], [1014, 'connect-timeout', true], [4321, 'words of its own', null]]) {
        const port = await world.control('stranger', { kind: 'closes', code, reason });
        const error = await refused(api, world, { proxyUrl: `ws://127.0.0.1:${port}` }, reason);
        ok(error.message.includes(String(code)) && error.message.includes(reason), error.message);
        if (retryable !== null) equal(error.retryable, retryable, reason);
      }
    },
  },
  {
    name: 'a tunnel that ends before anything came',
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'leaves' });
      await rejects(world.at(port)(world.path('/tell')), { is: api.AtlsError, category: /^(proxy_connection|handshake)$/, retryable: true });
      const reset = await world.control('stranger', { kind: 'resets' });
      await rejects(world.at(reset)(world.path('/tell')), { is: api.AtlsError, category: /^(proxy_connection|handshake)$/, retryable: true });
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'text is no ciphertext',
    essential: true,
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'text' });
      const error = await refused(api, world, { proxyUrl: `ws://127.0.0.1:${port}` });
      ok(/text/i.test(error.message), error.message);
    },
  },
  {
    name: 'a server that is no bridge',
    async run(api, world) {
      for (const data of ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'SSH-2.0-x\r\n']) {
        const port = await world.control('stranger', { kind: 'says', data });
        await refused(api, world, { proxyUrl: `ws://127.0.0.1:${port}` }, data);
      }
    },
  },
  ...['down flip 20', 'down flip 200', 'down flip 900', 'down flip 6000', 'down twice 0', 'down twice 6000', 'down swapped 6000', 'down dropped 0', 'down dropped 6000', 'down injected 0',
    'down injected 6000', 'up flip 30', 'up twice 0', 'up swapped 0', 'up dropped 100'].map(words => {
    const [way, lie, at] = words.split(' ');
    return {
      name: `that changes bytes is found: ${words}`.replace(':', ''),
      worker: false,
      async run(api, world) {
        const port = await world.control('stranger', { kind: 'liar', way, lie, at: Number(at), data: '\x17\x03\x03\x00\x20' + '\0'.repeat(32) });
        await rejects(world.fetcher({ proxyUrl: `ws://127.0.0.1:${port}`, timeouts: { connect: 1_500, attest: 1_500 } })(world.path('/tell'), { method: 'POST', body: 'secret' }), {
          is: api.AtlsError, category: /^(handshake|closed|timeout|proxy_connection|attestation)$/,
        });
        equal((await world.note()).seen, []);
      },
    };
  }),
];
