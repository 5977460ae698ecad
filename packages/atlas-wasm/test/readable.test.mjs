// Streams of a source: pull-driven, by either kind of reader, and let go when nobody wants them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { streamOf } from '../dist/readable.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');

function sourceOf(...pieces) {
  const source = {
    reads: 0,
    cancelled: undefined,
    whenFailed: undefined,
    read() { source.reads++; return pieces.shift(); },
    readInto(place) {
      source.reads++;
      const piece = pieces.shift();
      if (!piece) return 0;
      place.set(piece);
      return piece.length;
    },
    cancel(why) { source.cancelled = { why }; },
  };
  return source;
}
const turn = () => new Promise(resolve => setImmediate(resolve));

test('nothing is asked for before somebody reads', async () => {
  const source = sourceOf(Uint8Array.of(1), Uint8Array.of(2));
  const reader = streamOf(source).getReader();
  await turn();
  assert.equal(source.reads, 0);
  assert.deepEqual(await reader.read(), { done: false, value: Uint8Array.of(1) });
  await turn();
  assert.equal(source.reads, 1);
});

test('it ends', async () => {
  const all = new Uint8Array(await new Response(streamOf(sourceOf(Uint8Array.of(1), Uint8Array.of(2)))).arrayBuffer());
  assert.deepEqual([...all], [1, 2]);
});

test('readers may bring their own buffer', async () => {
  const reader = streamOf(sourceOf(Uint8Array.of(1, 2, 3))).getReader({ mode: 'byob' });
  const { value } = await reader.read(new Uint8Array(8));
  assert.deepEqual([...value], [1, 2, 3]);
  assert.equal((await reader.read(new Uint8Array(8))).done, true);
});

test('what the source throws is what the reader gets', async () => {
  const why = new Error('mine');
  const source = { ...sourceOf(), read() { throw why; } };
  await assert.rejects(streamOf(source).getReader().read(), why);
});

test('a source that fails by itself spoils the stream at once', async () => {
  const source = sourceOf();
  source.read = () => new Promise(() => {});
  const reader = streamOf(source).getReader();
  const reading = reader.read();
  await turn();
  const why = new Error('mine');
  source.whenFailed(why);
  await assert.rejects(reading, why);
  await assert.rejects(reader.closed, why);
});

test('cancel reaches the source', async () => {
  const source = sourceOf();
  await streamOf(source).cancel('enough');
  assert.deepEqual(source.cancelled, { why: 'enough' });
});

test('a stream that nobody holds lets its source go; one that is read does not', async () => {
  const [lost, kept] = [sourceOf(), sourceOf()];
  let arrive;
  kept.read = () => new Promise(resolve => { arrive = resolve; });
  (() => { new Response(streamOf(lost)); })();
  const reading = (() => streamOf(kept).getReader().read())();
  await turn();
  for (let i = 0; i < 50 && !lost.cancelled; i++) {
    gc();
    await turn();
  }
  assert.ok(lost.cancelled);
  assert.equal(kept.cancelled, undefined);
  arrive(Uint8Array.of(1));
  assert.deepEqual((await reading).value, Uint8Array.of(1));
});
