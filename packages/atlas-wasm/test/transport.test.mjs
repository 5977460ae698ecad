// Transports against a real WebSocket server: bytes, backpressure, and how they end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import test from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { chooseTransport } from '../dist/transport.js';

async function served(t, options = {}) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  await once(server, 'listening');
  t.after(() => {
    server.clients.forEach(client => client.terminate());
    server.close();
  });
  return { server, url: `ws://127.0.0.1:${server.address().port}/` };
}

async function opened(url, options = {}) {
  const seen = { received: 0, end: undefined };
  const open = await chooseTransport(options);
  let ended;
  seen.ended = new Promise(resolve => { ended = resolve; });
  await new Promise(resolve => {
    seen.transport = open(url, {
      open: resolve,
      message: bytes => {
        assert.ok(bytes instanceof Uint8Array);
        seen.received += bytes.length;
        seen.heard?.();
      },
      end: end => { ended(end); resolve(); },
    });
  });
  return seen;
}

/* What a browser has: no pause, no events of Node.js. */
class PlainWebSocket {
  #is;
  constructor(url, protocols) { this.#is = new WebSocket(url, protocols); }
  set binaryType(type) { this.#is.binaryType = type; }
  set onopen(listener) { this.#is.onopen = listener; }
  set onmessage(listener) { this.#is.onmessage = listener; }
  set onerror(listener) { this.#is.onerror = listener; }
  set onclose(listener) { this.#is.onclose = listener; }
  get readyState() { return this.#is.readyState; }
  get bufferedAmount() { return this.#is.bufferedAmount; }
  send(bytes) { this.#is.send(bytes); }
  close(code) { this.#is.close(code); }
}

for (const [what, options] of [['of ws', {}], ['of a browser', { WebSocket: PlainWebSocket }]]) {
  test(`the transport ${what}: bytes both ways, and the end with code and reason`, async t => {
    const { server, url } = await served(t);
    server.on('connection', socket => socket.on('message', data => {
      socket.send(data);
      socket.close(1008, 'target-not-allowed');
    }));
    const { transport, ended, ...seen } = await opened(url, options);
    const bytes = new Uint8Array(100_000).fill(7);
    transport.send(bytes);
    bytes.fill(0); // lent for the call alone
    const { code, reason } = await ended;
    assert.deepEqual([code, reason], [1008, 'target-not-allowed']);
    assert.equal(seen.end, undefined);
  });

  test(`the transport ${what}: writers wait while too much is unsent`, async t => {
    const { server, url } = await served(t);
    let socket;
    server.on('connection', one => {
      socket = one;
      one.pause();
    });
    const { transport } = await opened(url, options);
    // More than any kernel takes.
    for (let sent = 0; sent < 64 << 20; sent += 1 << 20) transport.send(new Uint8Array(1 << 20));
    const full = transport.drained();
    assert.ok(full instanceof Promise);
    if (!socket) await once(server, 'connection');
    let waited = true;
    full.then(() => { waited = false; });
    await new Promise(resolve => setImmediate(resolve));
    assert.equal(waited, true);
    socket.resume();
    await full;
    assert.equal(transport.drained(), undefined);
    transport.close();
  });

  test(`the transport ${what}: text ends it`, async t => {
    const { server, url } = await served(t);
    server.on('connection', socket => socket.send('hello'));
    const { ended } = await opened(url, options);
    assert.match((await ended).cause.message, /text/);
  });

  test(`the transport ${what}: nobody there`, async () => {
    const { ended } = await opened('ws://127.0.0.1:1/', options);
    assert.equal((await ended).code, 1006);
  });
}

test('the transport of ws holds the other end back', async t => {
  const { server, url } = await served(t);
  const total = 64 << 20;
  server.on('connection', socket => {
    for (let sent = 0; sent < total; sent += 1 << 20) socket.send(new Uint8Array(1 << 20));
  });
  const all = seen => new Promise(resolve => {
    seen.heard = () => seen.received === total && resolve();
    seen.heard();
  });
  const [held, free] = await Promise.all([opened(url), opened(url)]);
  held.transport.pause();
  assert.equal(held.transport.pausable, true);
  await all(free); // in this time the other would have come, too
  assert.ok(held.received < total / 2, `${held.received}`);
  held.transport.resume();
  await all(held);
  held.transport.close();
  free.transport.close();
});

test('the transport of ws tells how an upgrade was refused', async t => {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 30\r\nConnection: close\r\n\r\n{"error":"target not allowed"}'));
  const { ended } = await opened(`ws://127.0.0.1:${server.address().port}/`);
  const end = await ended;
  assert.deepEqual([end.status, end.reason], [403, 'target not allowed']);
});

test('the transport of ws takes no endless message', async t => {
  const { server, url } = await served(t);
  server.on('connection', socket => {
    socket.send(new Uint8Array(4 << 20));
    socket.send(new Uint8Array((4 << 20) + 1));
  });
  const seen = await opened(url);
  assert.match((await seen.ended).cause.message, /Max payload size exceeded/);
  assert.equal(seen.received, 4 << 20);
});

test('subprotocols are offered', async t => {
  const { server, url } = await served(t);
  const offered = once(server, 'connection').then(([, request]) => request.headers['sec-websocket-protocol']);
  const { transport } = await opened(url, { protocols: ['bearer.abc', 'binary'] });
  assert.equal(await offered, 'bearer.abc,binary');
  transport.close();
});

test('transports that this platform has not are refused', async () => {
  await assert.rejects(chooseTransport({ transport: 'websocketstream' }), /no WebSocketStream/);
});
