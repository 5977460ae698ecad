// Much data, fast writers, slow readers.
import { equal, ok, rejects } from '../check.mjs';
import { sha256 } from '../world.mjs';
import { stops } from './streaming.mjs';

const MIB = 1 << 20;

/** SHA-256 of the SHA-256s of its mebibytes; keeps one of them. */
async function digests(stream) {
  const block = new Uint8Array(MIB);
  const parts = [];
  let filled = 0;
  let total = 0;
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    for (let at = 0; at < value.length;) {
      const piece = value.subarray(at, at + MIB - filled);
      block.set(piece, filled);
      at += piece.length;
      filled += piece.length;
      if (filled === MIB) {
        parts.push(new Uint8Array(await crypto.subtle.digest('SHA-256', block)));
        filled = 0;
      }
    }
  }
  const all = new Uint8Array(32 * parts.length);
  parts.forEach((part, n) => all.set(part, 32 * n));
  return { total, digest: await sha256(all) };
}

function download(path, count) {
  return async (api, world) => {
    const answer = await world.fetcher()(world.path(path));
    equal(await digests(answer.body), { total: count * MIB, digest: await world.control('digests', { count }) });
  };
}

const random = new Uint8Array(MIB);
for (let at = 0; at < MIB; at += 65536) crypto.getRandomValues(random.subarray(at, at + 65536));

/** So many mebibytes, no two alike. */
function much(count) {
  const whole = new Uint8Array(count * MIB);
  for (let n = 0; n < count; n++) {
    whole.set(random, n * MIB);
    whole[n * MIB] = n;
  }
  return whole;
}

export const cases = [
  { name: '256 MiB come as they were sent', worker: false, run: download('/blocks/256', 256) },
  { name: '16 MiB come over a plain WebSocket, too', essential: true, run: download('/blocks/16', 16) },
  { name: '16 MiB come chunked in pieces of all sizes', run: download('/chunks/16', 16) },
  {
    name: '64 MiB go as they are',
    worker: false,
    async run(api, world) {
      const body = much(64);
      const expected = { length: body.length, sha256: await sha256(body) };
      equal(await (await world.fetcher()(world.path('/digest'), { method: 'POST', body })).json(), expected);
    },
  },
  {
    name: '64 MiB go as a stream',
    essential: true,
    async run(api, world) {
      const whole = much(64);
      let at = 0;
      let size = 1000;
      const body = new ReadableStream({
        pull(controller) {
          if (at >= whole.length) return controller.close();
          controller.enqueue(whole.slice(at, at + size));
          at += size;
          size = (size * 7) % 500_009;
        },
      }, { highWaterMark: 0 });
      equal(await (await world.fetcher()(world.path('/digest'), { method: 'POST', body, duplex: 'half' })).json(), { length: whole.length, sha256: await sha256(whole) });
    },
  },
  {
    name: 'both ways at once on several connections',
    async run(api, world) {
      const fetch = world.fetcher();
      const body = much(4);
      const expected = await sha256(body);
      const down = await world.control('digests', { count: 8 });
      await Promise.all([1, 2, 3].flatMap(() => [
        (async () => equal((await digests((await fetch(world.path('/blocks/8'))).body)).digest, down))(),
        (async () => equal((await (await fetch(world.path('/digest'), { method: 'POST', body })).json()).sha256, expected))(),
      ]));
    },
  },
  {
    name: 'a reader that takes nothing stops the sender',
    async run(api, world) {
      const fetch = world.fetcher();
      const answer = await fetch(world.path('/blocks/1024'));
      const reader = answer.body.getReader();
      await reader.read();
      const sent = async () => (await world.note()).sent;
      const first = await stops(world, fetch, sent);
      ok(first < 64 * MIB, `the application sent ${first} bytes`);
      // It takes some: more is sent, and then no more.
      for (let taken = 0; taken < first + 8 * MIB;) taken += (await reader.read()).value.length;
      const second = await stops(world, fetch, sent);
      ok(second > first && second < first + 72 * MIB, `then ${second} bytes`);
      await reader.cancel();
      await world.wait('gone');
    },
  },
  {
    name: 'what a plain WebSocket piles up has a limit',
    only: 'browser',
    worker: false,
    async run(api, world) {
      const fetch = world.fetcher({ transport: 'websocket', maxBufferedBytes: 8 * MIB });
      const answer = await fetch(world.path('/blocks/256'));
      await world.wait('gone');
      // What had come before is no proof that all has come.
      const error = await rejects(digests(answer.body), { is: api.AtlsError });
      ok(/maxBufferedBytes|buffer/i.test(error.message), error.message);
      ok((await world.note()).sent < 128 * MIB, 'sent');
    },
  },
];
