// What breaks while it is used: bridge, endpoint, application, certificates.
import { equal, ok, rejects, until } from '../check.mjs';
import { collect } from '../world.mjs';
import { stops } from './streaming.mjs';

export const cases = [
  {
    name: 'the bridge dies within an answer',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const reader = (await fetch(world.path('/stream/3'))).body.getReader();
      await reader.read();
      await world.control('bridge_kill');
      const error = await rejects(reader.read(), { is: api.AtlsError, category: /^(closed|proxy_connection)$/ });
      equal(await reader.closed.then(() => 'closed', again => again === error), true, 'the same error again');
      await until(() => world.pool().total === 0, 'an empty pool');
      const down = await rejects(fetch(world.path('/tell')), { is: api.AtlsError, category: 'proxy_connection', retryable: true });
      ok(/connect|reach/i.test(down.message) && down.message.includes(world.bridge.slice(5)), down.message);
      await world.control('bridge_start');
      equal((await fetch(world.path('/tell'))).status, 200, 'after it is there again');
    },
  },
  {
    name: 'the bridge dies while a request is sent',
    async run(api, world) {
      const body = new ReadableStream({ start(controller) { controller.enqueue(new Uint8Array(1000)); } });
      const fetch = world.fetcher();
      const answer = fetch(world.path('/digest'), { method: 'POST', body, duplex: 'half' });
      await world.wait('received', 1000);
      answer.catch(() => {});
      await world.control('bridge_kill');
      await rejects(answer, { is: api.AtlsError, category: /^(closed|proxy_connection)$/ });
      await world.control('bridge_start');
      equal((await fetch(world.path('/tell'))).status, 200);
      equal((await world.note()).seen.length, 2, 'the first was not sent again');
    },
  },
  {
    name: 'the bridge dies within a large upload',
    essential: true,
    async run(api, world) {
      // Much of it waits in the socket: no reason for a page to crash.
      let pulled = 0;
      const body = new ReadableStream({
        pull(controller) {
          pulled += 1 << 16;
          controller.enqueue(new Uint8Array(1 << 16));
        },
      }, { highWaterMark: 0 });
      const fetch = world.fetcher();
      const answer = fetch(world.path('/slow-read'), { method: 'POST', body, duplex: 'half' });
      answer.catch(() => {});
      await world.wait('seen');
      await stops(world, fetch, () => pulled);
      await world.control('bridge_kill');
      await rejects(answer, { is: api.AtlsError, category: /^(closed|proxy_connection)$/ });
      await world.control('bridge_start');
      equal((await fetch(world.path('/tell'))).status, 200);
    },
  },
  {
    name: 'the bridge dies while connections are idle',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      await (await fetch(world.path('/tell'))).text();
      await world.control('bridge_kill');
      await until(() => world.pool().total === 0, 'an empty pool');
      await world.control('bridge_start');
      equal((await fetch(world.path('/tell'), { method: 'POST', body: 'x' })).status, 200);
    },
  },
  {
    name: 'the bridge stops and goes on',
    async run(api, world) {
      const fetch = world.fetcher();
      const reader = (await fetch(world.path('/stream/2'))).body.getReader();
      await reader.read();
      await world.control('bridge_stop');
      await rejects(world.fetcher({ timeouts: { connect: 100 }, policy: { ...world.policy, x_other: 1, min_tcb_evaluation_data_number: 1 } })(world.path('/tell')), { is: api.AtlsError, category: 'timeout' });
      await world.go();
      await world.control('bridge_continue');
      equal((await reader.read()).value.length, 9, 'the stream goes on');
      equal((await reader.read()).done, true);
    },
  },
  {
    name: 'the bridge drains',
    async run(api, world) {
      const proxyUrl = await world.control('bridge_other', { drain_timeout: '10ms', drain_grace: '0' });
      const fetch = world.fetcher({ proxyUrl });
      const reader = (await fetch(world.path('/stream/2'))).body.getReader();
      await reader.read();
      await world.control('bridge_other_drain');
      const error = await rejects(reader.read(), { is: api.AtlsError, category: /^(closed|proxy_connection)$/ });
      ok(/1001/.test(error.message) && /draining/.test(error.message), error.message);
    },
  },
  {
    name: 'the endpoint dies within an answer',
    async run(api, world) {
      const fetch = world.fetcher();
      const reader = (await fetch(world.path('/stream/2'))).body.getReader();
      await reader.read();
      await world.control('tee_kill');
      await rejects(reader.read(), { is: api.AtlsError, category: /^(closed|response|proxy_connection)$/ });
      await rejects(fetch(world.path('/tell')), { is: api.AtlsError, category: /^(proxy_connection|handshake)$/, retryable: true });
      await world.control('tee_start');
      equal((await fetch(world.path('/tell'))).status, 200);
    },
  },
  {
    name: 'the endpoint is restarted between requests',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      await (await fetch(world.path('/tell'))).text();
      await world.control('tee_stop');
      await rejects(fetch(world.path('/tell'), { method: 'POST', body: 'x' }), { is: api.AtlsError, category: 'proxy_connection', retryable: true });
      await world.control('tee_start');
      const answer = await fetch(world.path('/tell'), { method: 'POST', body: 'x' });
      equal([answer.status, answer.attestation.trusted], [200, true]);
    },
  },
  {
    name: 'the certificate is replaced and nobody has to know',
    essential: true,
    async run(api, world) {
      const begun = await world.control('tunnels_begun');
      const seen = [];
      const fetch = world.fetcher({ onAttestation: (_, evidence) => { seen.push(JSON.parse(evidence.receipt()).session.certificate_sha256); } });
      const stream = (await fetch(world.path('/stream/2'))).body.getReader();
      await stream.read();
      await (await fetch(world.path('/tell'))).text();
      await world.control('rotate');
      // Old sessions go on, new ones prove the new certificate.
      equal((await fetch(world.path('/tell'))).status, 200, 'on an old connection');
      await world.go();
      equal((await stream.read()).value.length, 9, 'a stream');
      equal((await stream.read()).done, true);
      equal(await world.control('tunnels_begun') - begun, 2, 'connections');
      fetch.close();
      equal((await fetch(world.path('/tell'))).status, 200, 'on a new connection');
      equal(seen.length, 3);
      ok(seen[0] === seen[1] && seen[1] !== seen[2], `certificates: ${seen}`);
    },
  },
  {
    name: 'a connection that cannot prove itself again is replaced',
    essential: true,
    async run(api, world) {
      const begun = await world.control('tunnels_begun');
      const seen = [];
      const fetch = world.fetcher({ attestationTtl: 1, onAttestation: (_, evidence) => { seen.push(JSON.parse(evidence.receipt()).session.certificate_sha256); } });
      await (await fetch(world.path('/tell'))).text();
      await world.control('rotate');
      // 409 for the quote; nothing of the request was sent, so that it goes out on another connection, whatever it is.
      const answer = await fetch(world.path('/tell'), { method: 'POST', body: 'once' });
      equal((await answer.json()).text, 'once');
      equal(await world.control('tunnels_begun') - begun, 2, 'connections');
      ok(seen[0] !== seen.at(-1), 'another certificate');
      equal((await world.note()).seen.length, 2, 'requests at the application');
      equal((await world.control('answered', { path: '/tdx_quote' })).filter(({ status }) => status === 409).length >= 1, true, '409 at the endpoint');
    },
  },
  {
    name: 'the application breaks off',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const answer = await fetch(world.path('/half'));
      equal(answer.status, 200);
      await rejects(answer.text(), { is: Error });
      const again = await fetch(world.path('/half'));
      const reader = again.body.getReader();
      const { value } = await reader.read();
      equal(value.length, 4, 'what had come is given');
      await rejects(reader.read(), { is: api.AtlsError, category: /^(closed|response)$/ });
      equal((await fetch(world.path('/tell'))).status, 200, 'afterwards');
    },
  },
  {
    name: 'answers that are no HTTP',
    essential: true,
    async run(api, world) {
      const bad = {
        'no HTTP at all': ['hello\r\n\r\n', 'wait'],
        'two lengths': ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!', 'wait'],
        'a length that is none': ['HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', 'wait'],
        'length and chunks': ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'wait'],
        'a head without end': [`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(300_000)}`, 'wait'],
        'a field without a name': ['HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok', 'wait'],
        'a status that is none': ['HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok', 'wait'],
        'an upgrade that nobody asked for': ['HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n', 'wait'],
        'a flood of 100': ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(1000), 'wait'],
      };
      for (const [what, answer] of Object.entries(bad)) {
        const port = await world.control('stranger', { kind: 'tee', answers: [answer] });
        await rejects(world.at(port)('/x'), { is: api.AtlsError, category: 'response' }, what);
      }
      const late = { 'a chunk that is none': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n', 'wait'], 'a chunk that is too big': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n', 'wait'] };
      for (const [what, script] of Object.entries(late)) {
        const port = await world.control('stranger', { kind: 'tee', answers: [script] });
        const outcome = world.at(port)('/x').then(answer => collect(answer.body));
        await rejects(outcome, { is: api.AtlsError, category: 'response' }, what);
      }
      for (const [what, script] of Object.entries({ 'an early hint': ['HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'], 'a body of no told length': ['HTTP/1.1 200 OK\r\n\r\nok', 'close'] })) {
        const port = await world.control('stranger', { kind: 'tee', answers: [script] });
        equal(await (await world.at(port)('/x')).text(), 'ok', what);
      }
    },
  },
  {
    name: 'an answer cut short is no whole one',
    essential: true,
    async run(api, world) {
      for (const [what, script] of Object.entries({
        'within a length': ['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 'close'], 'within chunks': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'close'],
        'without the word of TLS': ['HTTP/1.1 200 OK\r\n\r\nhalf', 'reset'],
      })) {
        const port = await world.control('stranger', { kind: 'tee', answers: [script] });
        const answer = await world.at(port)('/x');
        await rejects(answer.text(), { is: Error }, what);
      }
    },
  },
];
