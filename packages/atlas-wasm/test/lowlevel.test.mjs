// AtlsHttp, AttestedStream and Client, on connections in the test's hands.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, closePool, poolStats } from '../dist/client.js';
import { AtlsHttp } from '../dist/http.js';
import { AttestedStream } from '../dist/stream.js';
import { fakeConnection } from './support/fake.mjs';

const BAD = { category: 'request' };

test('AtlsHttp outlives a request that cannot be written', async () => {
  const { wire, connection } = fakeConnection();
  const http = new AtlsHttp(connection, 0);
  await assert.rejects(http.fetch('GET', '/\u2603', 'localhost', null), BAD);
  assert.equal(http.isReady(), true);
  const answer = http.fetch('GET', '/', 'localhost', null);
  wire.events.message(Uint8Array.of(1));
  assert.equal((await answer).status, 200);
});

test('a pooled connection outlives a request that cannot be written', async t => {
  t.after(closePool);
  const { wire, connection } = fakeConnection();
  const client = new Client(
    { endpoint: { wsUrl: 'ws://lowlevel/' }, maxConnections: 1, maxRequestsPerConnection: 100, idleMs: 1000, ttlMs: Infinity, responseMs: 0 },
    async () => connection,
  );
  await assert.rejects(client.send({ head: { method: 'GET', target: '/\u2603', fields: [] } }), BAD);
  assert.equal(poolStats().idle, 1);
  const answer = client.send({ head: { method: 'GET', target: '/', fields: [] } });
  await new Promise(resolve => setImmediate(resolve));
  wire.events.message(Uint8Array.of(1));
  assert.equal((await answer).head.status, 200);
});

test("AtlsHttp's answers have a time", async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connection } = fakeConnection();
  const http = new AtlsHttp(connection, 500);
  const refused = assert.rejects(http.fetch('GET', '/', 'localhost', null), { category: 'timeout' });
  t.mock.timers.tick(500);
  await refused;
  assert.equal(http.isReady(), false);
});

test('AttestedStream sends what was given, whatever becomes of it', async () => {
  const { engine, connection } = fakeConnection();
  let written = [];
  engine.exports.connection_write = (_, at, n) => { written = written.concat([...engine.view(at, n)]); return 1; };
  const stream = new AttestedStream(connection);
  const bytes = Uint8Array.of(1, 2);
  const sent = [stream.send(bytes), stream.send(bytes)];
  bytes.fill(9);
  await Promise.all(sent);
  assert.deepEqual(written, [1, 2, 1, 2]);
  stream.close();
});
