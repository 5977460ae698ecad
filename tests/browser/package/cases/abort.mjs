// Abort in every phase: the caller's own reason, and nothing left behind.
import { equal, ok, rejects, settled, until } from '../check.mjs';
import { bytes } from '../world.mjs';

class Reason extends Error {}

/** Aborts it, and wants the reason back and everything gone. */
async function abortedNow(world, ending, promise, what) {
  const reason = new Reason(what);
  ending.abort(reason);
  await rejects(promise, { is: Reason, message: what }, what);
  let same;
  await promise.catch(error => { same = error === reason || world.variation.worker; });
  ok(same, 'the very reason');
}

async function nothingLeft(world) {
  await until(() => world.pool().total === 0, 'an empty pool');
  await world.control('tunnels', { count: 0 });
}

export const cases = [
  {
    name: 'before the call',
    essential: true,
    async run(api, world) {
      const begun = await world.control('tunnels_begun');
      const reason = new Reason('before');
      const fetch = world.fetcher();
      const error = await rejects(fetch(world.path('/tell'), { signal: AbortSignal.abort(reason) }), { is: Reason });
      ok(error === reason, 'the very reason');
      await rejects(fetch(world.path('/tell'), { signal: AbortSignal.abort() }), { is: DOMException, name: 'AbortError' }, 'a reason of the platform');
      await rejects(fetch(new Request(`https://${world.target}/tell`, { signal: AbortSignal.abort(reason) })), { is: Reason }, 'the signal of a Request');
      equal(await world.control('tunnels_begun') - begun, 0, 'connections');
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'right after the call',
    async run(api, world) {
      const ending = new AbortController();
      const promise = world.fetcher()(world.path('/tell'), { method: 'POST', body: 'secret', signal: ending.signal });
      await abortedNow(world, ending, promise, 'right after');
      await nothingLeft(world);
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'while a bridge is silent',
    essential: true,
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'silent' });
      const ending = new AbortController();
      const promise = world.fetcher({ proxyUrl: `ws://127.0.0.1:${port}` })(world.path('/tell'), { signal: ending.signal });
      await world.control('stranger_bytes', { port });
      equal(world.variation.worker ? 1 : world.pool().connecting, 1, 'connecting');
      await abortedNow(world, ending, promise, 'connecting');
      await world.control('stranger_gone', { port });
      await nothingLeft(world);
    },
  },
  {
    name: 'in the handshake',
    essential: true,
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'silent' });
      const ending = new AbortController();
      const promise = world.at(port)(world.path('/tell'), { signal: ending.signal });
      await world.control('stranger_bytes', { port, least: 100 });
      await abortedNow(world, ending, promise, 'handshake');
      await world.control('stranger_gone', { port });
      await nothingLeft(world);
    },
  },
  {
    name: 'while the quote is awaited',
    essential: true,
    async run(api, world) {
      const quotes = await world.control('quotes');
      await world.control('hold_quotes');
      const ending = new AbortController();
      const promise = world.fetcher()(world.path('/tell'), { method: 'POST', body: 'secret', signal: ending.signal });
      await world.control('wait_quotes', { count: quotes + 1 });
      ok(!await settled(promise), 'it waits');
      await abortedNow(world, ending, promise, 'quote');
      await nothingLeft(world);
      await world.control('release_quotes');
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'while collateral is fetched',
    async run(api, world) {
      const port = await world.control('tee_other', { options: ['--without-collateral'] });
      await world.control('service', { held: true });
      const ending = new AbortController();
      const promise = world.at(port, { collateral: { cache: 'none' } })(world.path('/tell'), { signal: ending.signal });
      await world.control('asked', { least: 1 });
      await abortedNow(world, ending, promise, 'collateral');
      await nothingLeft(world);
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'while it waits in the queue',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher({ maxConnections: 1 });
      const first = fetch(world.path('/gate'));
      await world.wait('seen');
      const ending = new AbortController();
      const second = fetch(world.path('/tell'), { signal: ending.signal });
      const third = fetch(world.path('/tell', '&third'));
      ok(!await settled(second), 'the second waits');
      if (!world.variation.worker) equal(world.pool(), { total: 1, idle: 0, busy: 1, connecting: 0 });
      await abortedNow(world, ending, second, 'queue');
      await world.go();
      equal(await (await first).text(), 'went on, 0 bytes', 'the first goes on');
      equal((await (await third).json()).path, world.path('/tell', '&third'), 'and the third comes in its turn');
      equal((await world.note()).seen.length, 2, 'requests at the application');
    },
  },
  {
    name: 'while uploading',
    essential: true,
    async run(api, world) {
      let cancelled;
      const body = new ReadableStream({
        start(controller) { controller.enqueue(bytes('a beginning')); },
        cancel(reason) { cancelled = reason ?? true; },
      });
      const ending = new AbortController();
      const promise = world.fetcher()(world.path('/digest'), { method: 'POST', body, duplex: 'half', signal: ending.signal });
      await world.wait('received', 11);
      await abortedNow(world, ending, promise, 'uploading');
      await world.wait('gone');
      await nothingLeft(world);
      await until(() => cancelled, "the caller's stream is cancelled");
      equal((await world.note()).answered, 0);
    },
  },
  {
    name: 'while uploading what is there at once',
    async run(api, world) {
      const ending = new AbortController();
      const promise = world.fetcher()(world.path('/slow-read'), { method: 'POST', body: new Uint8Array(48 << 20), signal: ending.signal });
      await world.wait('seen');
      await abortedNow(world, ending, promise, 'bulk');
      // What was on its way arrives; only who reads it finds out that no more comes.
      await world.go();
      await world.wait('gone');
      await nothingLeft(world);
    },
  },
  {
    name: 'before the head',
    essential: true,
    async run(api, world) {
      const ending = new AbortController();
      const promise = world.fetcher()(world.path('/gate'), { signal: ending.signal });
      await world.wait('seen');
      await abortedNow(world, ending, promise, 'head');
      await world.wait('gone');
      await nothingLeft(world);
    },
  },
  {
    name: 'within the body',
    essential: true,
    async run(api, world) {
      const ending = new AbortController();
      const answer = await world.fetcher()(world.path('/stream/3'), { signal: ending.signal });
      const reader = answer.body.getReader();
      await reader.read();
      const next = reader.read();
      ok(!await settled(next), 'the stream goes on');
      await abortedNow(world, ending, next, 'body');
      await rejects(reader.read(), { is: Reason }, 'reading again');
      await world.wait('gone');
      await nothingLeft(world);
    },
  },
  {
    name: 'within a body that nobody reads',
    async run(api, world) {
      const ending = new AbortController();
      const answer = await world.fetcher()(world.path('/stream/3'), { signal: ending.signal });
      ending.abort(new Reason('unread'));
      await world.wait('gone');
      await nothingLeft(world);
      await rejects(answer.text(), { is: Reason, message: 'unread' });
    },
  },
  {
    name: 'after the end is without effect',
    async run(api, world) {
      const ending = new AbortController();
      const fetch = world.fetcher();
      const begun = await world.control('tunnels_begun');
      const answer = await fetch(world.path('/tell'), { signal: ending.signal });
      equal((await answer.json()).method, 'GET');
      ending.abort(new Reason('late'));
      await (await fetch(world.path('/tell'))).text();
      equal(await world.control('tunnels_begun') - begun, 1, 'connections');
    },
  },
  {
    name: 'by a time limit',
    async run(api, world) {
      await rejects(world.fetcher()(world.path('/gate'), { signal: AbortSignal.timeout(150) }), { is: DOMException, name: 'TimeoutError' });
      await nothingLeft(world);
    },
  },
  {
    name: 'of one leaves the others alone',
    async run(api, world) {
      const fetch = world.fetcher();
      const ending = new AbortController();
      const [other, mine] = await Promise.all([fetch(world.path('/stream/2')), fetch(world.path('/stream/2'), { signal: ending.signal })]);
      const [reader, aborted] = [other.body.getReader(), mine.body.getReader()];
      await Promise.all([reader.read(), aborted.read()]);
      await abortedNow(world, ending, aborted.read(), 'mine');
      await world.wait('gone');
      await world.go();
      equal((await reader.read()).value.length, 9);
      equal((await reader.read()).done, true);
    },
  },
  {
    name: 'while onAttestation thinks',
    async run(api, world) {
      let asked;
      const called = new Promise(resolve => { asked = resolve; });
      const ending = new AbortController();
      const promise = world.fetcher({ onAttestation: () => new Promise(() => asked()) })(world.path('/tell'), { signal: ending.signal });
      await called;
      await abortedNow(world, ending, promise, 'thinking');
      await nothingLeft(world);
      equal((await world.note()).seen, []);
    },
  },
];
