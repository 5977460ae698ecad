// A worker as its page sees it, with a worker in the test's hands.
import assert from 'node:assert/strict';
import test from 'node:test';
import { getConnectionPoolStats } from '../dist/index.js';
import { WorkerClient } from '../dist/worker-client.js';

function fakeWorker() {
  const listeners = {};
  return {
    orders: [],
    terminated: 0,
    addEventListener: (type, listener) => { listeners[type] = listener; },
    postMessage(order) { this.orders.push(order); },
    terminate() { this.terminated++; },
    fire: (type, event) => listeners[type](event),
  };
}
const options = { endpoint: { wsUrl: 'ws://localhost/' } };
const request = { head: { method: 'GET', target: '/', fields: [] } };
const turn = () => new Promise(resolve => setImmediate(resolve));

test('words of others are not news, and a worker that failed is ended with its connections', async () => {
  const made = [];
  const start = () => made[made.push(fakeWorker()) - 1];
  const client = new WorkerClient(start, options);
  const failed = assert.rejects(client.send(request), { category: 'internal', message: /the worker stopped: broken/ });
  await turn();
  const [first] = made;
  const stats = { total: 2, idle: 1, busy: 1, connecting: 0 };
  first.fire('message', { data: { stats } });
  for (const data of [undefined, 'hello', { type: 'vite:hello' }, { stats: null }, { stats: { total: 'x' } }]) first.fire('message', { data });
  assert.deepEqual(getConnectionPoolStats(), stats);
  first.fire('error', { error: new Error('broken') });
  first.fire('error', { error: new Error('again') });
  await failed;
  assert.equal(first.terminated, 1);
  assert.equal(getConnectionPoolStats().total, 0);
  const next = assert.rejects(client.send(request));
  await turn();
  assert.equal(made.length, 2);
  made[1].fire('error', { error: new Error('over') });
  await next;
});

test("a worker of the caller's is not ended", async () => {
  const worker = fakeWorker();
  const failed = assert.rejects(new WorkerClient(worker, options).send(request));
  await turn();
  worker.fire('error', { error: new Error('broken') });
  await failed;
  assert.equal(worker.terminated, 0);
});
