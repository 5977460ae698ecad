// Requests that are sent again, and those that are not.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, closePool, poolStats } from '../dist/client.js';
import { AtlsError } from '../dist/errors.js';
import { exchange } from '../dist/exchange.js';
import { fakeConnection } from './support/fake.mjs';

const head = (method = 'DELETE') => ({ method, target: '/', fields: [['Host', 'localhost']] });
const begun = ({ engine }) => engine.log.filter(word => word === 'begin').length;
const turn = () => new Promise(resolve => setImmediate(resolve));
let keys = 0;

/** A client whose first connection has served once. */
async function served(options = {}) {
  const all = [fakeConnection({ whole: false }), fakeConnection({ whole: false })];
  const left = [...all];
  const endpoint = { wsUrl: `ws://again/${++keys}` };
  const client = new Client(
    { endpoint, maxConnections: 1, maxRequestsPerConnection: 100, idleMs: 1000, ttlMs: Infinity, responseMs: 0, ...options },
    async () => left.shift().connection,
  );
  await client.warmup();
  return { client, all };
}
const outcome = promise => promise.then(() => 'answered', error => error);

test('the other end closes a connection that had served: an idempotent request goes out again', async t => {
  t.after(closePool);
  const { client, all: [one, two] } = await served();
  const sent = client.send({ head: head() });
  await turn();
  one.wire.events.end({ code: 1000, reason: '' });
  await turn();
  two.wire.events.message(Uint8Array.of(1));
  await sent;
  assert.deepEqual([begun(one), begun(two)], [1, 1]);
});

test('another that the other end closes does not', async t => {
  t.after(closePool);
  const { client, all: [one, two] } = await served();
  const sent = outcome(client.send({ head: head('POST') }));
  await turn();
  one.wire.events.end({ code: 1000, reason: '' });
  assert.equal((await sent).category, 'closed');
  assert.deepEqual([begun(one), begun(two)], [1, 0]);
});

test('we close all: nothing goes out again', async () => {
  const { client, all: [one, two] } = await served();
  const sent = outcome(client.send({ head: head() }));
  await turn();
  closePool();
  assert.equal((await sent).category, 'closed');
  await turn();
  assert.deepEqual([begun(one), begun(two)], [1, 0]);
  assert.equal(poolStats().total, 0);
});

test('after a trap an idle connection is not used, and its request goes to a new one', async t => {
  t.after(closePool);
  const { client, all: [one, two] } = await served();
  one.engine.broken = new Error('trapped');
  const sent = client.send({ head: head('POST') });
  await turn();
  two.wire.events.message(Uint8Array.of(1));
  assert.equal((await sent).proof, two.connection.proof);
  assert.equal(begun(one), 0);
});

test('what was answered is known also when the connection was ended here', async () => {
  const { engine, wire, connection } = fakeConnection();
  let began = 0;
  Object.assign(engine.exports, { response_head: () => 0, response_begun: () => began });
  const progress = { sent: false, answered: false };
  const sent = outcome(exchange(connection, head(), undefined, progress, () => {}));
  began = 1;
  wire.events.message(Uint8Array.of(72));
  await turn();
  connection.pipe.fail(new AtlsError('mine', { category: 'closed', code: 'connection_closed' }));
  assert.equal((await sent).message, 'mine');
  assert.deepEqual(progress, { sent: true, answered: true });
});

test('an abort is heard whenever it comes after the proof was shown', async t => {
  t.after(closePool);
  for (let steps = 0; steps < 20; steps++) {
    const control = new AbortController();
    const reason = new Error(`after ${steps}`);
    const abortAfter = left => (left ? queueMicrotask(() => abortAfter(left - 1)) : control.abort(reason));
    const made = fakeConnection();
    const endpoint = { wsUrl: `ws://again/${++keys}` };
    const options = { endpoint, maxConnections: 1, maxRequestsPerConnection: 100, idleMs: 1000, ttlMs: Infinity, responseMs: 0 };
    const client = new Client({ ...options, gate: () => abortAfter(steps) }, async () => made.connection);
    const sent = outcome(client.send({ head: head(), signal: control.signal }));
    assert.equal(await Promise.race([sent, turn().then(turn).then(() => `unheard after ${steps}`)]), reason);
  }
});
