// AtlsHttp and AttestedStream: one connection, by hand.
import { equal, like, ok, rejects, settled } from '../check.mjs';
import { bytes, collect, text } from '../world.mjs';

const http = (api, world, policy = world.policy, extra = {}) => api.AtlsHttp.connect(world.url(), 'localhost', policy, world.connectOptions(extra));
const raw = (api, world, policy = world.policy, extra = {}) => api.AttestedStream.connect(world.url(), 'localhost', policy, world.connectOptions(extra));
const body = async answer => text(await collect(answer.body));

export const cases = [
  {
    name: 'AtlsHttp asks and asks again',
    worker: false,
    essential: true,
    async run(api, world) {
      const one = await http(api, world);
      equal(one.isReady(), true);
      like(one.attestation(), { trusted: true, teeType: 'Tdx', tcbStatus: 'UpToDate' });
      like(one.report(), { status: 'UpToDate' });
      equal(JSON.parse(one.receipt()).session.server_name, 'localhost');
      const answer = await one.fetch('POST', world.path('/tell'), world.target, [['X-Mine', 'a'], ['Host', 'elsewhere.test']], bytes('hello'));
      equal([answer.status, answer.statusText, answer.headers['content-type']], [200, 'OK', 'application/json']);
      ok(answer.rawHeaders.some(([name, value]) => name.toLowerCase() === 'content-type' && value === 'application/json'), 'rawHeaders');
      const told = JSON.parse(await body(answer));
      const seen = Object.fromEntries(told.headers.map(([name, value]) => [name.toLowerCase(), value]));
      equal([told.method, told.text, seen['x-mine'], seen.host, seen['content-length']], ['POST', 'hello', 'a', world.target, '5']);
      equal(one.isReady(), true, 'again');
      const cookies = await one.fetch('GET', world.path('/cookies'), world.target, null, null);
      equal(cookies.headers['x-twice'], 'two', 'the last wins');
      equal(cookies.rawHeaders.filter(([name]) => name.toLowerCase() === 'x-twice').map(([, value]) => value), ['one', 'two']);
      await collect(cookies.body);
      const root = JSON.parse(await body(await one.fetch('GET', '', world.target, null)));
      equal(root.path, '/', 'an empty path');
      one.close();
      equal(one.isReady(), false);
      await rejects(one.fetch('GET', '/', world.target, null, null), { is: Error, message: /connection closed/ });
      one.close();
    },
  },
  {
    name: 'AtlsHttp does one thing at a time',
    worker: false,
    async run(api, world) {
      const one = await http(api, world);
      const answer = await one.fetch('GET', world.path('/stream/2'), world.target, [], null);
      equal(one.isReady(), false, 'while the answer comes');
      await rejects(one.fetch('GET', '/', world.target, [], null), { is: Error, message: /connection busy - wait for previous response to complete/ });
      await world.go();
      equal(await body(answer), 'data: 0\n\ndata: 1\n\n', 'the first is none the worse');
      equal(one.isReady(), true);
      one.close();
    },
  },
  {
    name: 'AtlsHttp refuses what would break the framing',
    worker: false,
    async run(api, world) {
      const one = await http(api, world);
      for (const headers of [[['X Y', 'a']], [['X', 'a\r\nY: b']], 'text', [['X']], 5]) await rejects((async () => one.fetch('GET', world.path('/tell'), world.target, headers, null))(), { is: Error }, JSON.stringify(headers));
      for (const [method, path, host] of [['G T', '/', 'x'], ['GET', '/a b', 'x'], ['GET', '/\r\nX: y', 'x'], ['GET', '/', 'a\r\nX: y']]) {
        await rejects((async () => one.fetch(method, path, host, null, null))(), { is: Error }, JSON.stringify([method, path, host]));
      }
      equal((await world.note()).seen, []);
      equal(JSON.parse(await body(await one.fetch('GET', world.path('/tell'), world.target, null, null))).method, 'GET', 'it lives');
      one.close();
    },
  },
  {
    name: 'AtlsHttp says why not',
    worker: false,
    essential: true,
    async run(api, world) {
      await rejects(http(api, world, { type: 'dstack_tdx', mistake: 1 }), { is: api.AtlsError, category: 'policy', message: /invalid policy: / });
      await rejects(http(api, world, 'no JSON'), { is: api.AtlsError, category: 'policy', message: /invalid policy: / });
      await rejects(http(api, world, { ...world.policy, os_image_hash: '00'.repeat(32) }), { is: api.AtlsError, code: 'os_image_hash_mismatch' });
      await rejects(api.AtlsHttp.connect('ws://127.0.0.1:9/?target=x:1', 'localhost', world.policy, world.connectOptions()), { is: api.AtlsError, category: 'proxy_connection' });
      await rejects(api.AtlsHttp.connect(world.url(), 'other.test', world.policy, world.connectOptions()), { is: api.AtlsError, category: 'handshake' });
      await rejects(http(api, world, world.policy, { simulation: false }), { is: api.AtlsError, category: 'policy', message: /simulat/i });
    },
  },
  {
    name: 'AtlsHttp tells of an answer that breaks off',
    worker: false,
    async run(api, world) {
      const one = await http(api, world);
      const answer = await one.fetch('GET', world.path('/half'), world.target, null, null);
      await rejects(collect(answer.body), { is: Error, message: /Body read error: / });
      equal(one.isReady(), false);
      one.close();
    },
  },
  {
    name: 'AttestedStream carries bytes both ways',
    worker: false,
    essential: true,
    async run(api, world) {
      const one = await raw(api, world);
      like(one.attestation(), { trusted: true, teeType: 'Tdx' });
      like(one.report(), { status: 'UpToDate' });
      ok(JSON.parse(one.receipt()).sha256, 'a receipt');
      equal(one.readable === one.readable, true, 'the same each time');
      await one.send(bytes(`POST ${world.path('/tell')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n`));
      await one.send(bytes('hel'));
      await one.send(bytes('lo'));
      const answer = text(await collect(one.readable));
      ok(answer.startsWith('HTTP/1.1 200 ') && answer.includes('"text": "hello"'), answer);
      one.close();
      await rejects(one.send(bytes('x')), { is: Error, message: /stream is closed/ });
    },
  },
  {
    name: 'AttestedStream closes one way',
    worker: false,
    async run(api, world) {
      const one = await raw(api, world);
      await one.send(bytes(`GET ${world.path('/gate')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
      await world.wait('seen');
      await one.closeWrite();
      await rejects(one.send(bytes('x')), { is: Error, message: /stream is closed/ });
      const answer = collect(one.readable);
      ok(!await settled(answer), 'the other way is open');
      await world.go();
      ok(text(await answer).endsWith('went on, 0 bytes'), 'the answer');
      one.close();
    },
  },
  {
    name: 'AttestedStream holds its sender back',
    worker: false,
    async run(api, world) {
      const one = await raw(api, world);
      await one.send(bytes(`GET ${world.path('/blocks/8')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
      const whole = await collect(one.readable);
      ok(whole.length > 8 << 20 && whole.length < (8 << 20) + 1000, `${whole.length} bytes`);
      one.close();
    },
  },
  {
    name: 'AttestedStream ends its reader when it is closed',
    worker: false,
    async run(api, world) {
      const one = await raw(api, world);
      const reader = one.readable.getReader();
      const next = reader.read().then(({ done }) => done, error => error);
      ok(!await settled(next), 'nothing comes');
      one.close();
      const end = await next;
      ok(end === true || end instanceof Error, `the reader: ${end}`);
      await world.control('tunnels', { count: 0 });
    },
  },
  {
    name: 'AttestedStream says why not',
    worker: false,
    async run(api, world) {
      await rejects(raw(api, world, { ...world.policy, mistake: 1 }), { is: api.AtlsError, category: 'policy', message: /invalid policy: / });
      const { policy } = world;
      policy.expected_bootchain.mrtd = '00'.repeat(48);
      await rejects(raw(api, world, policy), { is: api.AtlsError, code: 'bootchain_mismatch' });
      await rejects(api.AttestedStream.connect('ws://127.0.0.1:9/?target=x:1', 'localhost', world.policy, world.connectOptions()), { is: api.AtlsError, category: 'proxy_connection' });
    },
  },
  {
    name: 'AttestedStream is told when the bridge dies',
    worker: false,
    async run(api, world) {
      const one = await raw(api, world);
      const reader = one.readable.getReader();
      const next = reader.read();
      next.catch(() => {});
      await world.control('bridge_kill');
      await rejects(next, { is: api.AtlsError, category: /^(closed|proxy_connection)$/ });
      one.close();
      await world.control('bridge_start');
    },
  },
];
