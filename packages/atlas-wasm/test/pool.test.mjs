// The pool, with connections that are made by hand.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createPool } from '../dist/pool.js';

/** Connections open when the test says so. */
function workshop(limit = 2) {
  const made = [];
  const owner = {};
  const wish = (more = {}) => ({
    owner,
    limit,
    open: cancelled => new Promise((resolve, reject) => {
      const one = { closed: false, watchers: 0, cancelled, fail: reject };
      one.connection = {
        rest: onGone => { one.watchers++; one.gone = onGone; return () => { one.watchers--; }; },
        close: () => { one.closed = true; },
        usable: () => !one.useless,
      };
      one.open = () => resolve(one.connection);
      cancelled.addEventListener('abort', () => reject(cancelled.reason));
      made.push(one);
    }),
    ...more,
  });
  return { made, owner, wish, pool: createPool() };
}
const turn = () => new Promise(resolve => setImmediate(resolve));
const settled = async promise => Promise.race([promise.then(() => 'resolved', () => 'rejected'), turn().then(() => 'waiting')]);
const release = lease => lease.release(60_000, 100);

test('a second request opens a second connection; the limit makes the third wait its turn', async () => {
  const { pool, wish, made } = workshop(2);
  const [a, b, c] = [pool.acquire('k', wish()), pool.acquire('k', wish()), pool.acquire('k', wish())];
  assert.equal(made.length, 2);
  made.forEach(one => one.open());
  await Promise.all([a, b]);
  assert.equal(await settled(c), 'waiting');
  assert.deepEqual(pool.stats(), { total: 2, idle: 0, busy: 2, connecting: 0 });
  release(await a);
  assert.equal((await c).connection, (await a).connection);
  assert.equal((await c).reused, true);
  assert.equal((await b).reused, false);
  pool.closeAll();
});

test('first come, first served', async () => {
  const { pool, wish, made } = workshop(1);
  const order = [];
  const first = pool.acquire('k', wish());
  const rest = [1, 2, 3].map(n => pool.acquire('k', wish()).then(lease => { order.push(n); release(lease); }));
  made[0].open();
  release(await first);
  await Promise.all(rest);
  assert.deepEqual(order, [1, 2, 3]);
  pool.closeAll();
});

test('other keys do not share', async () => {
  const { pool, wish, made } = workshop(1);
  const [a, b] = [pool.acquire('a', wish()), pool.acquire('b', wish())];
  made.forEach(one => one.open());
  assert.notEqual((await a).connection, (await b).connection);
  pool.closeAll();
});

test('whoever waits and gives up leaves the queue, and takes its connection attempt with it', async () => {
  const { pool, wish, made } = workshop(1);
  const control = new AbortController();
  const gone = pool.acquire('k', wish({ signal: control.signal }));
  const reason = new Error('enough');
  control.abort(reason);
  await assert.rejects(gone, reason);
  assert.equal(made[0].cancelled.aborted, true);
  assert.deepEqual(pool.stats(), { total: 0, idle: 0, busy: 0, connecting: 0 });
});

test('giving up does not touch the attempt that another waits for', async () => {
  const { pool, wish, made } = workshop(1);
  const control = new AbortController();
  const gone = pool.acquire('k', wish({ signal: control.signal }));
  const stays = pool.acquire('k', wish());
  control.abort();
  await assert.rejects(gone);
  assert.equal(made[0].cancelled.aborted, false);
  made[0].open();
  await stays;
  pool.closeAll();
});

test('a failed attempt is told to one, and the next gets its own', async () => {
  const { pool, wish, made } = workshop(1);
  const [a, b] = [pool.acquire('k', wish()), pool.acquire('k', wish())];
  const why = new Error('refused');
  made[0].fail(why);
  await assert.rejects(a, why);
  assert.equal(made.length, 2);
  made[1].open();
  await b;
  pool.closeAll();
});

test('a failed attempt is told to whoever wished for it, and not to who waits before', async () => {
  const { pool, wish, made } = workshop(2);
  const [a, b, c] = [pool.acquire('k', wish()), pool.acquire('k', wish()), pool.acquire('k', wish())];
  const why = new Error('too late');
  made[1].fail(why);
  await assert.rejects(b, why);
  assert.equal(made.length, 3);
  made[0].open();
  made[2].open();
  await Promise.all([a, c]);
  pool.closeAll();
});

test('a failed attempt of one that was served meanwhile is told to nobody', async () => {
  const { pool, wish, made } = workshop(2);
  const first = pool.acquire('k', wish());
  made[0].open();
  await first;
  const [a, b] = [pool.acquire('k', wish()), pool.acquire('k', wish())];
  release(await first); // serves a, for whom another was being opened
  await a;
  made[1].fail(new Error('slow'));
  await turn();
  assert.equal(await settled(b), 'waiting');
  made[2].open();
  await b;
  pool.closeAll();
});

test('one that dies while idle is dropped at once', async () => {
  const { pool, wish, made } = workshop(1);
  const lease = pool.acquire('k', wish());
  made[0].open();
  release(await lease);
  assert.deepEqual(pool.stats(), { total: 1, idle: 1, busy: 0, connecting: 0 });
  made[0].gone();
  assert.equal(pool.stats().total, 0);
  assert.equal(made[0].closed, true);
  const next = pool.acquire('k', wish());
  made[1].open();
  assert.equal((await next).reused, false);
  pool.closeAll();
});

test('idle ones that became useless without a sign are passed over, and closed', async () => {
  const { pool, wish, made } = workshop(3);
  const leases = [1, 2, 3].map(() => pool.acquire('k', wish()));
  made.forEach(one => one.open());
  for (const lease of await Promise.all(leases)) release(lease);
  made[1].useless = made[2].useless = true;
  const next = await pool.acquire('k', wish());
  assert.equal(next.connection, made[0].connection);
  assert.deepEqual(made.map(one => one.closed), [false, true, true]);
  assert.deepEqual(pool.stats(), { total: 1, idle: 0, busy: 1, connecting: 0 });
  pool.closeAll();
});

test('one that is dead when it comes back is not kept', async () => {
  const { pool, wish, made } = workshop(1);
  const lease = pool.acquire('k', wish());
  made[0].open();
  const { connection } = await lease;
  connection.rest = onGone => { onGone(); return () => {}; };
  release(await lease);
  assert.equal(pool.stats().total, 0);
});

test('a busy one is not watched, an idle one is', async () => {
  const { pool, wish, made } = workshop(1);
  const first = pool.acquire('k', wish());
  made[0].open();
  release(await first);
  assert.equal(made[0].watchers, 1);
  await pool.acquire('k', wish());
  assert.equal(made[0].watchers, 0);
  pool.closeAll();
});

test('after its last request it goes', async () => {
  const { pool, wish, made } = workshop(1);
  for (let i = 0; i < 3; i++) {
    const lease = pool.acquire('k', wish());
    made.at(-1).open();
    (await lease).release(60_000, 2);
  }
  assert.equal(made.length, 2);
  assert.deepEqual(made.map(one => one.closed), [true, false]);
  pool.closeAll();
});

test('a lease ends once', async () => {
  const { pool, wish, made } = workshop(1);
  const lease = pool.acquire('k', wish());
  made[0].open();
  (await lease).discard();
  release(await lease);
  assert.equal(pool.stats().total, 0);
});

test("an owner's close: idle ones now, busy ones when they are done; those of others stay", async () => {
  const { pool, wish, made, owner } = workshop(3);
  const other = {};
  const [idle, busy, theirs] = [pool.acquire('k', wish()), pool.acquire('k', wish()), pool.acquire('k', wish({ owner: other }))];
  made.forEach(one => one.open());
  await Promise.all([idle, busy, theirs]);
  release(await idle);
  pool.closeOwned(owner);
  assert.deepEqual(made.map(one => one.closed), [true, false, false]);
  release(await busy);
  release(await theirs);
  assert.deepEqual(made.map(one => one.closed), [true, true, false]);
  pool.closeAll();
});

test('closing all: who waits is told, who comes later is served', async () => {
  const { pool, wish, made } = workshop(1);
  const [a, b] = [pool.acquire('k', wish()), pool.acquire('k', wish())];
  made[0].open();
  await a;
  const told = assert.rejects(b, { category: 'closed' });
  pool.closeAll();
  await told;
  assert.equal(made[0].closed, true);
  assert.equal(pool.stats().total, 0);
  const later = pool.acquire('k', wish());
  made.at(-1).open();
  await later;
  pool.closeAll();
});

test('a connection that arrives after all were closed is closed', async () => {
  const { pool, wish, made } = workshop(1);
  const refused = assert.rejects(pool.acquire('k', { ...wish(), open: () => new Promise(resolve => made.push({ open: resolve })) }));
  pool.closeAll();
  await refused;
  let closed = false;
  made[0].open({ rest: () => () => {}, close: () => { closed = true; } });
  await turn();
  assert.equal(closed, true);
  assert.equal(pool.stats().total, 0);
});

test('idle ones go when their time is over', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { pool, wish, made } = workshop(1);
  const lease = pool.acquire('k', wish());
  made[0].open();
  (await lease).release(55_000, 100);
  t.mock.timers.tick(54_999);
  assert.equal(pool.stats().idle, 1);
  t.mock.timers.tick(1);
  assert.equal(pool.stats().total, 0);
});
