// Proofs that grow old: nothing goes out on them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client } from '../dist/client.js';
import { reattestDueError } from '../dist/errors.js';
import { exchange } from '../dist/exchange.js';
import { AtlsHttp } from '../dist/http.js';
import { AttestedStream } from '../dist/stream.js';
import { uploadOf } from '../dist/upload.js';
import { fakeConnection } from './support/fake.mjs';

const DUE = { category: 'policy', code: 'reattest_due', number: 703 };
const OVER = -Infinity;
const request = { method: 'GET', target: '/', fields: [['Host', 'localhost']] };
const begun = engine => engine.log.filter(word => word === 'begin').length;
let keys = 0;

function clientOf(made, options = {}) {
  const endpoint = { wsUrl: `ws://due/${++keys}` };
  const all = { endpoint, maxConnections: 1, maxRequestsPerConnection: 100, idleMs: 1000, ttlMs: Infinity, responseMs: 0, ...options };
  return new Client(all, async () => made.shift().connection);
}

test('a request is not begun, and its body not continued, on an old proof', async () => {
  const { engine, wire, connection } = fakeConnection();
  connection.due = OVER;
  await assert.rejects(exchange(connection, request, undefined, {}, () => {}), DUE);
  assert.deepEqual(engine.log, []);
  connection.due = Infinity;
  const upload = uploadOf({ kind: 'stream', stream: new ReadableStream({ pull(c) { connection.due = OVER; c.enqueue(Uint8Array.of(1)); } }, { highWaterMark: 0 }) });
  await assert.rejects(exchange(connection, request, upload, {}, () => {}), DUE);
  assert.deepEqual(engine.log, ['begin', 'deleted']);
  assert.deepEqual(wire.sent, []);
});

test('AttestedStream refuses to send, also what waits for its turn', async () => {
  const { wire, connection } = fakeConnection();
  connection.pipe.engine.exports.connection_write = () => 1;
  const stream = new AttestedStream(connection);
  await stream.send(Uint8Array.of(1));
  connection.due = OVER;
  await assert.rejects(stream.send(Uint8Array.of(2)), DUE);
  stream.close();
});

test('AtlsHttp proves itself again before the next request', async () => {
  const { engine, wire, connection } = fakeConnection();
  const http = new AtlsHttp(connection);
  connection.due = OVER;
  const answer = http.fetch('GET', '/', 'localhost', null);
  assert.equal(http.isReady(), false);
  wire.events.message(Uint8Array.of(1));
  assert.equal((await answer).status, 200);
  assert.equal(connection.attested, 2);
  assert.equal(http.attestation(), connection.proof.summary);
  assert.equal(begun(engine), 1);
});

test('AtlsHttp that cannot prove itself again sends nothing', async () => {
  const { engine, connection } = fakeConnection();
  const http = new AtlsHttp(connection);
  connection.due = OVER;
  const why = new Error('no longer');
  connection.reattest = async () => { connection.pipe.fail(why); throw why; };
  await assert.rejects(http.fetch('GET', '/', 'localhost', null), why);
  assert.equal(begun(engine), 0);
  assert.equal(http.isReady(), false);
});

test('a proof that grew old while it was shown is made anew, and shown, before the request', async () => {
  const one = fakeConnection();
  const shown = [];
  const client = clientOf([one], { gate: proof => { shown.push(proof.number); if (proof.number === 1) one.connection.due = OVER; } });
  const answer = client.send({ head: request });
  setImmediate(() => one.wire.events.message(Uint8Array.of(1)));
  assert.equal((await answer).proof.number, 2);
  assert.deepEqual(shown, [1, 2]);
});

test('one that grows old in the last moment is exchanged for a new connection', async () => {
  const [one, two] = [fakeConnection(), fakeConnection()];
  one.connection.checkFresh = () => { throw reattestDueError(); };
  const answer = clientOf([one, two]).send({ head: request });
  setImmediate(() => two.wire.events.message(Uint8Array.of(1)));
  assert.equal((await answer).proof, two.connection.proof);
  assert.equal(begun(one.engine), 0);
  assert.equal(begun(two.engine), 1);
});
