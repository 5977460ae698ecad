// Connections: how many, whose, for how long.
import { equal, ok, rejects, settled, until } from '../check.mjs';
import { collect } from '../world.mjs';

const get = async (fetch, world, more) => (await (await fetch(world.path('/tell', more))).json()).path;

/** Tells a fetcher's connections. */
function counted(world, extra) {
  let connections = 0;
  const fetch = world.fetcher({ ...extra, onAttestation: () => { connections++; } });
  return { fetch, connections: () => connections };
}

export const cases = [
  {
    name: '200 requests one after the other use one connection',
    essential: true,
    async run(api, world) {
      const { fetch, connections } = counted(world, { maxRequestsPerConnection: 1000 });
      for (let n = 0; n < 200; n++) equal(await get(fetch, world, `&n=${n}`), world.path('/tell', `&n=${n}`));
      equal(connections(), 1);
      equal((await world.note()).seen.length, 200);
    },
  },
  {
    name: '50 requests at once stay within the limit and are not mixed up',
    essential: true,
    async run(api, world) {
      const { fetch, connections } = counted(world);
      const begun = await world.control('tunnels_begun');
      let most = 0;
      const answers = await Promise.all(Array.from({ length: 50 }, async (_, n) => {
        const answer = await fetch(world.path('/tell', `&n=${n}`), { method: 'POST', body: `body ${n} `.repeat(n * 50) });
        most = Math.max(most, world.pool().total);
        return answer.json();
      }));
      for (const [n, told] of answers.entries()) equal([told.path, told.length], [world.path('/tell', `&n=${n}`), `body ${n} `.length * n * 50], `answer ${n}`);
      equal(connections() <= 6 && most <= 6, true, 'no more than six connections');
      // One that was begun for somebody who then got another is closed unused.
      ok(await world.control('tunnels_begun') - begun >= connections(), 'connections begun');
      equal(world.pool(), { total: connections(), idle: connections(), busy: 0, connecting: 0 }, 'afterwards');
    },
  },
  {
    name: 'bodies at once are not mixed up',
    async run(api, world) {
      const { fetch } = counted(world, { maxConnections: 3 });
      const lengths = await Promise.all(Array.from({ length: 9 }, async (_, n) => (await (await fetch(world.path(n % 2 ? `/blocks/${n}` : `/chunks/${n}`))).arrayBuffer()).byteLength));
      equal(lengths, Array.from({ length: 9 }, (_, n) => n << 20));
    },
  },
  {
    name: 'whoever waits is served in turn',
    async run(api, world) {
      const { fetch, connections } = counted(world, { maxConnections: 1 });
      const first = fetch(world.path('/gate'));
      await world.wait('seen');
      const order = [];
      const waiting = [1, 2, 3].map(async n => {
        await get(fetch, world, `&n=${n}`);
        order.push(n);
      });
      await world.go();
      await (await first).text();
      await Promise.all(waiting);
      equal(order, [1, 2, 3]);
      equal((await world.note()).seen.slice(1).map(({ path }) => path.slice(-1)), ['1', '2', '3'], 'order at the application');
      equal(connections(), 1);
    },
  },
  {
    name: 'tells what it has',
    worker: false,
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      equal(world.pool(), { total: 0, idle: 0, busy: 0, connecting: 0 });
      await world.control('hold_quotes');
      const quotes = await world.control('quotes');
      const two = [fetch(world.path('/stream/2')), fetch(world.path('/tell'))];
      equal((await until(() => world.pool().connecting === 2 && world.pool(), 'two that connect')), { total: 2, idle: 0, busy: 0, connecting: 2 });
      await world.control('wait_quotes', { count: quotes + 1 });
      await world.control('release_quotes');
      const [stream, told] = await Promise.all(two);
      await told.text();
      equal(await until(() => world.pool().idle === 1 && world.pool(), 'an idle one'), { total: 2, idle: 1, busy: 1, connecting: 0 });
      await world.go();
      await stream.text();
      equal(world.pool(), { total: 2, idle: 2, busy: 0, connecting: 0 });
    },
  },
  {
    name: 'an answer without a body frees its connection at once',
    async run(api, world) {
      const { fetch, connections } = counted(world, { maxConnections: 1 });
      for (const path of ['/status/204', '/status/304', '/status/200', '/tell']) {
        const method = path === '/tell' ? 'HEAD' : 'GET';
        equal((await fetch(world.path(path), { method })).status, Number(path.slice(8)) || 200); // nobody reads the body
      }
      equal(connections(), 1);
    },
  },
  {
    name: 'a policy of its own means connections of its own',
    essential: true,
    async run(api, world) {
      const lax = world.policy;
      for (const name of ['expected_bootchain', 'app_compose', 'app_compose_hash', 'os_image_hash']) delete lax[name];
      lax.disable_runtime_verification = true;
      const strict = { ...world.policy, os_image_hash: '00'.repeat(32) };
      const first = counted(world, { policy: lax });
      await get(first.fetch, world, '&lax');
      await rejects(world.fetcher({ policy: strict })(world.path('/tell', '&strict')), { is: api.AtlsError, code: 'os_image_hash_mismatch' });
      const good = counted(world);
      await get(good.fetch, world, '&good');
      await get(first.fetch, world, '&lax');
      equal([first.connections(), good.connections()], [1, 1]);
      equal((await world.note()).seen.map(({ path }) => path.split('&')[1]), ['lax', 'good', 'lax']);
    },
  },
  {
    name: 'what was agreed by fewer authorities is not shared either',
    async run(api, world) {
      const { roots, ...options } = world.options();
      await (await api.createAtlsFetch({ ...options, roots })(world.path('/tell'))).text();
      await rejects(api.createAtlsFetch({ ...options, roots: world.root })(world.path('/tell')), { is: api.AtlsError, category: 'handshake' });
      await rejects(api.createAtlsFetch({ ...options, roots, serverName: 'other.test' })(world.path('/tell')), { is: api.AtlsError, category: 'handshake' });
      equal((await world.note()).seen.length, 1);
    },
  },
  {
    name: 'permission to simulate is not inherited',
    async run(api, world) {
      await (await world.fetcher()(world.path('/tell'))).text();
      const { simulation, ...options } = world.options();
      ok(simulation, 'simulation');
      await rejects((async () => api.createAtlsFetch(options)(world.path('/tell')))(), { is: api.AtlsError, category: 'policy' });
      equal((await world.note()).seen.length, 1);
    },
  },
  {
    name: 'whoever asks for the same shares',
    worker: false,
    async run(api, world) {
      const begun = await world.control('tunnels_begun');
      for (const policy of [world.policy, JSON.stringify(world.policy), world.policy]) equal(await get(world.fetcher({ policy }), world), world.path('/tell'));
      equal(await world.control('tunnels_begun') - begun, 1, 'connections');
    },
  },
  {
    name: 'close ends what is its own',
    async run(api, world) {
      const one = world.fetcher();
      const other = world.fetcher({ policy: { ...world.policy, x_other: true, min_tcb_evaluation_data_number: 1 } });
      await Promise.all([get(one, world), get(other, world)]);
      await world.control('tunnels', { count: 2 });
      one.close();
      await world.control('tunnels', { count: 1 });
      equal(await get(other, world), world.path('/tell'));
      equal(await get(one, world), world.path('/tell'), 'used again, it connects again');
    },
  },
  {
    name: 'close lets an answer end',
    async run(api, world) {
      const fetch = world.fetcher();
      const answer = await fetch(world.path('/stream/2'));
      fetch.close();
      await world.go();
      equal(await answer.text(), 'data: 0\n\ndata: 1\n\n');
      await world.control('tunnels', { count: 0 });
    },
  },
  {
    name: 'closeAllConnections ends everything',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher({ maxConnections: 1 });
      const answer = await fetch(world.path('/stream/2'));
      const queued = fetch(world.path('/tell'));
      ok(!await settled(queued), 'the second waits');
      const outcome = queued.then(() => 'answered', error => error);
      api.closeAllConnections();
      await rejects(collect(answer.body), { is: api.AtlsError, category: 'closed' });
      const second = await outcome;
      ok(second instanceof api.AtlsError && second.category === 'closed', `the one in the queue: ${second}`);
      await world.control('tunnels', { count: 0 });
      equal(await get(fetch, world), world.path('/tell'), 'and may be followed by more');
      api.closeAllConnections();
      api.closeAllConnections();
    },
  },
  {
    name: 'an idle connection that the other end closes is noticed at once',
    essential: true,
    async run(api, world) {
      const { fetch, connections } = counted(world);
      await get(fetch, world);
      await world.control('tee_stop');
      await world.control('tee_start');
      await until(() => world.pool().total === 0, 'an empty pool');
      equal(await get(fetch, world), world.path('/tell'));
      equal(connections(), 2);
    },
  },
  {
    name: 'a request is sent once more when a kept connection was closed over it',
    essential: true,
    async run(api, world) {
      const ok200 = ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'];
      for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
        const port = await world.control('stranger', { kind: 'tee', answers: [ok200, ['close']].concat([method === 'HEAD' ? ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'] : ok200]) });
        const fetch = world.at(port);
        await (await fetch('/one')).text();
        equal((await fetch('/two', { method, ...(method === 'PUT' ? { body: 'again' } : {}) })).status, 200, method);
        const { requests, connections } = await world.control('stranger_requests', { port });
        equal([requests.map(([line]) => line.split(' ').slice(0, 2).join(' ')), connections], [['GET /one', `${method} /two`, `${method} /two`], 2], method);
        if (method === 'PUT') equal(requests.map(([, body]) => body), ['', 'again', 'again']);
        api.closeAllConnections();
      }
    },
  },
  {
    name: 'a request that may have been done is not sent again',
    essential: true,
    async run(api, world) {
      const answered = ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'];
      const stream = () => new ReadableStream({ start(controller) { controller.enqueue(new Uint8Array(5)); controller.close(); } });
      for (const [what, init, script] of [
        ['POST', { method: 'POST', body: 'x' }, ['close']],
        ['PATCH', { method: 'PATCH', body: 'x' }, ['close']],
        ['a stream', { method: 'PUT', body: stream(), duplex: 'half' }, ['close']],
        ['an answer that began', { method: 'GET' }, ['HTTP/1.1 200 OK\r\nConten', 'close']],
      ]) {
        const port = await world.control('stranger', { kind: 'tee', answers: [answered, script] });
        const fetch = world.at(port);
        await (await fetch('/one')).text();
        await rejects(fetch('/two', init), { is: api.AtlsError, category: /^(closed|response)$/ }, what);
        equal((await world.control('stranger_requests', { port })).requests.length, 2, what);
        api.closeAllConnections();
      }
    },
  },
  {
    name: 'a request is sent again once and no more',
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'tee', answers: [['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'], ['close'], ['close'], ['close']] });
      const fetch = world.at(port);
      await (await fetch('/one')).text();
      await rejects(fetch('/two'), { is: api.AtlsError, category: /^(closed|response)$/ });
      equal((await world.control('stranger_requests', { port })).requests.length, 3);
    },
  },
  {
    name: 'a first request is not sent again',
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'tee', answers: [['close']] });
      await rejects(world.at(port)('/one'), { is: api.AtlsError, category: /^(closed|response)$/ });
      equal((await world.control('stranger_requests', { port })).requests.length, 1);
    },
  },
  {
    name: 'a server that wants to close is not used again',
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'tee', answers: [['HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok', 'wait'], ['HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', 'wait']] });
      const fetch = world.at(port);
      for (let n = 0; n < 3; n++) equal(await (await fetch('/')).text(), 'ok');
      equal((await world.control('stranger_requests', { port })).connections, 3);
    },
  },
  {
    name: 'bytes behind an answer are no next answer',
    essential: true,
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'tee', answers: [['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled', 'wait']] });
      const fetch = world.at(port);
      equal(await (await fetch('/one')).text(), 'ok');
      equal(await (await fetch('/two')).text(), 'ok');
      equal((await world.control('stranger_requests', { port })).connections, 2);
    },
  },
];
