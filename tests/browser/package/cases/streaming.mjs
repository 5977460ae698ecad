// Answers and requests that come piece by piece.
import { equal, ok, settled, until } from '../check.mjs';
import { bytes, text } from '../world.mjs';

export const cases = [
  {
    name: 'the first event is there while the application waits',
    essential: true,
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/stream/4'), { method: 'POST', body: '{}' });
      equal(answer.headers.get('content-type'), 'text/event-stream');
      const reader = answer.body.getReader();
      const event = async () => text((await reader.read()).value);
      equal(await event(), 'data: 0\n\n');
      for (let n = 1; n < 4; n++) {
        const next = event();
        ok(!await settled(next), `event ${n} is not there before it was sent`);
        await world.go();
        equal(await next, `data: ${n}\n\n`);
      }
      equal((await reader.read()).done, true);
    },
  },
  {
    name: 'several streams at once each in its own order',
    async run(api, world) {
      const fetch = world.fetcher();
      const readers = await Promise.all([1, 2, 3].map(async () => (await fetch(world.path('/stream/5'))).body.pipeThrough(new TextDecoderStream()).getReader()));
      const firsts = await Promise.all(readers.map(reader => reader.read()));
      equal(firsts.map(({ value }) => value), Array(3).fill('data: 0\n\n'));
      await world.go(12);
      const rests = await Promise.all(readers.map(async reader => {
        let whole = '';
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return whole;
          whole += value;
        }
      }));
      equal(rests, Array(3).fill('data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n'));
    },
  },
  {
    name: 'a request goes out while it is being made',
    essential: true,
    async run(api, world) {
      let make;
      const body = new ReadableStream({ start(controller) { make = controller; } });
      const answer = world.fetcher()(world.path('/digest'), { method: 'POST', body, duplex: 'half' });
      let length = 0;
      for (const piece of ['first', 'second', 'third']) {
        make.enqueue(bytes(piece));
        length += piece.length;
        equal(await world.wait('received', length), length, 'bytes at the application');
        ok(!await settled(answer), 'no answer yet');
      }
      make.close();
      equal((await (await answer).json()).length, length);
    },
  },
  {
    name: 'an answer may come before the request is whole',
    async run(api, world) {
      let make;
      const body = new ReadableStream({ start(controller) { make = controller; } });
      const fetch = world.fetcher();
      const answer = fetch(world.path('/early'), { method: 'POST', body, duplex: 'half' });
      make.enqueue(bytes('some'));
      equal(await (await answer).text(), 'early');
      // Whether it wants the rest is its own affair.
      try {
        make.close();
      } catch {}
      equal((await fetch(world.path('/tell'))).status, 200, 'afterwards');
    },
  },
  {
    name: 'what is not read is not lost',
    async run(api, world) {
      const fetch = world.fetcher();
      const answer = await fetch(world.path('/stream/3'));
      await world.go(2);
      await world.wait('answered');
      equal(await answer.text(), 'data: 0\n\ndata: 1\n\ndata: 2\n\n');
    },
  },
  {
    name: 'a body that nobody wants is given up',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const answer = await fetch(world.path('/stream/3'));
      const reader = answer.body.getReader();
      await reader.read();
      await reader.cancel('enough');
      await world.wait('gone');
      await world.control('tunnels', { count: 0 });
      await until(() => world.pool().total === 0, 'an empty pool');
      const unread = await fetch(world.path('/stream/3'));
      await unread.body.cancel();
      await world.wait('gone', 2);
      equal((await fetch(world.path('/tell'))).status, 200, 'another request');
    },
  },
  {
    name: 'an upload that nobody reads is not pulled',
    async run(api, world) {
      // The application reads nothing: the caller's stream must not be emptied into memory.
      let pulled = 0;
      const body = new ReadableStream({
        pull(controller) {
          pulled += 1 << 16;
          if (pulled > 256 << 20) controller.close();
          else controller.enqueue(new Uint8Array(1 << 16));
        },
      }, { highWaterMark: 0 });
      const ending = new AbortController();
      const fetch = world.fetcher();
      const answer = fetch(world.path('/slow-read'), { method: 'POST', body, duplex: 'half', signal: ending.signal });
      answer.catch(() => {});
      await world.wait('seen');
      await stops(world, fetch, () => pulled);
      ok(pulled < 64 << 20, `${pulled} bytes were pulled`);
      ending.abort();
      await answer.then(() => ok(false, 'it was aborted'), () => {});
      await world.go();
    },
  },
];

/** Until a count no longer grows while other requests come and go on the same machines. */
export async function stops(world, fetch, count) {
  let before = -1;
  for (let quiet = 0; quiet < 3;) {
    const now = await count();
    quiet = now === before ? quiet + 1 : 0;
    before = now;
    for (let n = 0; n < 5; n++) await (await fetch('/tell?t=other')).text();
  }
  return before;
}
