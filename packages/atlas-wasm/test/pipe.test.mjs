// The way of bytes between transport and module: who is asked for what, and when.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Incoming } from '../dist/incoming.js';
import { Pipe, WINDOW } from '../dist/pipe.js';
import { fakeEngine, fakeTransport } from './support/fake.mjs';

function pipeOf(options = {}) {
  const engine = fakeEngine(options);
  const wire = fakeTransport(options);
  const pipe = new Pipe(engine, 7, 'ws://localhost/', wire.open, options.max);
  wire.events.open();
  return { engine, wire, pipe };
}
const incomingOf = (pipe, engine, aheadMax = 0, done = () => {}) => new Incoming(pipe, { ask: engine.read, aheadMax, done });
const filled = (n, value = 1) => new Uint8Array(n).fill(value);

test('what nobody asks for is not decrypted, and beyond the window not read', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine);
  for (let i = 0; i < 8; i++) wire.events.message(filled(WINDOW / 8));
  assert.equal(wire.paused, false);
  wire.events.message(filled(1));
  assert.equal(wire.paused, true);
  assert.deepEqual(engine.log, []);
  for (let got = 0; got < WINDOW / 2; ) got += (await body.read()).length;
  assert.equal(wire.paused, true);
  await body.read();
  assert.equal(wire.paused, false);
  assert.equal(wire.pauses, 1);
});

test('who waits gets each message as it comes', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine);
  for (const n of [1, 2, 3]) {
    const reading = body.read();
    wire.events.message(filled(n, n));
    assert.deepEqual(await reading, filled(n, n));
  }
});

test('messages that wait come out together, in their order', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine);
  for (const n of [1, 2, 3]) wire.events.message(filled(1, n));
  assert.deepEqual([...await body.read()], [1, 2, 3]);
});

test('an answer is decrypted ahead up to its limit, and no further', () => {
  const { engine, wire, pipe } = pipeOf();
  incomingOf(pipe, engine, 10);
  wire.events.message(filled(6));
  wire.events.message(filled(6));
  wire.events.message(filled(6));
  assert.deepEqual(engine.log, [6, 6]);
  assert.equal(engine.fed.length, 2);
});

test('an answer that came whole is done without a reader', () => {
  const { engine, wire, pipe } = pipeOf();
  let done;
  incomingOf(pipe, engine, 100, whole => { done = whole; });
  wire.events.message(filled(5));
  assert.equal(done, undefined);
  wire.events.end({ code: 1000, reason: 'target-closed' });
  assert.equal(done, true);
});

test('what came before the end is told before the end', async () => {
  const { engine, wire, pipe } = pipeOf({ whole: false });
  const body = incomingOf(pipe, engine);
  wire.events.message(filled(5));
  wire.events.end({ code: 1001, reason: 'draining' });
  assert.equal((await body.read()).length, 5);
  assert.throws(() => body.read(), error => error.category === 'closed' && /draining/.test(error.message));
});

test('a failure interrupts who waits, tells the stream, and frees once', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine);
  let told;
  body.whenFailed = why => { told = why; };
  const reading = body.read();
  const reason = new Error('mine');
  pipe.fail(reason);
  pipe.fail(new Error('later'));
  await assert.rejects(reading, reason);
  assert.equal(told, reason);
  assert.equal(wire.closed, true);
  assert.deepEqual(engine.log, ['deleted']);
  assert.throws(() => pipe.handle, reason);
  wire.events.message(filled(1)); // goes nowhere
});

test('a module that traps as it frees keeps nobody waiting', async () => {
  const { engine, wire, pipe } = pipeOf();
  engine.exports.connection_delete = () => { throw new Error('trapped'); };
  const waiting = pipe.wait();
  let told;
  pipe.onFail(why => { told = why; });
  const reason = new Error('mine');
  pipe.fail(reason);
  await assert.rejects(waiting, reason);
  assert.deepEqual([told, wire.closed], [reason, true]);
});

test('an abort after the last byte came still spoils what was not read', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine, 100);
  wire.events.message(filled(5));
  wire.events.end({ code: 1000, reason: '' });
  const reason = new Error('mine');
  body.abort(reason);
  assert.throws(() => body.read(), reason);
});

test('reading into a place: parts, in order, without loss', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine, 4);
  wire.events.message(Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
  wire.events.end({ code: 1000, reason: '' });
  const got = [];
  const place = new Uint8Array(3);
  for (let n = await body.readInto(place); n; n = await body.readInto(place)) got.push(...place.slice(0, n));
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7]);
});

test('a transport that cannot be held back is given up beyond its limit', async () => {
  const { engine, wire, pipe } = pipeOf({ pausable: false, max: 2 * WINDOW });
  const body = incomingOf(pipe, engine);
  wire.events.message(filled(2 * WINDOW));
  assert.equal(pipe.fault, undefined);
  wire.events.message(filled(1));
  assert.equal(pipe.fault.code, 'buffer_full');
  assert.throws(() => body.read(), { code: 'buffer_full' });
});

test('nothing is sent before the transport is open', () => {
  const engine = fakeEngine();
  const wire = fakeTransport();
  const pipe = new Pipe(engine, 7, 'ws://localhost/', wire.open);
  engine.say([1, 2]);
  pipe.flush();
  assert.deepEqual(wire.sent, []);
  wire.events.open();
  pipe.flush();
  assert.deepEqual(wire.sent, [1, 2]);
});

test('waiting for something else ends with the pipe', async () => {
  const { pipe } = pipeOf();
  const never = pipe.until(new Promise(() => {}));
  assert.equal(await pipe.until(Promise.resolve(5)), 5);
  pipe.fail(new Error('mine'));
  await assert.rejects(never, /mine/);
});

test('thousands of small messages keep their order', async () => {
  const { engine, wire, pipe } = pipeOf();
  const body = incomingOf(pipe, engine);
  for (let i = 0; i < 5000; i++) wire.events.message(Uint8Array.of(i & 255));
  const got = await body.read();
  assert.equal(got.length, 5000);
  assert.ok(got.every((value, i) => value === (i & 255)));
});
