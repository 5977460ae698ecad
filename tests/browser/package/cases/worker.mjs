// What only a worker can do wrong. All other cases run in one, too.
import { equal, ok, rejects, throws, until } from '../check.mjs';

const workerUrl = world => new URL('worker.js', world.files);

export const cases = [
  {
    name: 'keeps the module out of the page',
    only: 'browser',
    fresh: true,
    worker: false,
    async run(api, world) {
      const answer = await world.fetcher({ worker: true })(world.path('/tell'));
      equal((await answer.json()).method, 'GET');
      const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
      ok(!loaded.some(name => name.endsWith('.wasm')), loaded.join(' '));
      ok((await world.control('served')).includes('/package/dist/atlas.wasm'), 'but a worker loaded it');
    },
  },
  {
    name: 'may be the caller\'s own',
    only: 'browser',
    worker: false,
    async run(api, world) {
      const own = new Worker(workerUrl(world), { type: 'module' });
      const fetch = world.fetcher({ worker: own });
      equal((await fetch(world.path('/tell'))).status, 200);
      let made = 0;
      const factory = () => {
        made++;
        return new Worker(workerUrl(world), { type: 'module' });
      };
      const other = world.fetcher({ worker: factory });
      equal([(await other(world.path('/tell'))).status, (await other(world.path('/tell'))).status, made], [200, 200, 1]);
      fetch.close();
      other.close();
      await until(() => world.pool().total === 0, 'an empty pool');
      own.terminate();
    },
  },
  {
    name: 'that cannot be had is an error',
    only: 'browser',
    worker: false,
    async run(api, world) {
      await rejects(world.fetcher({ worker: () => new Worker('/none.js', { type: 'module' }) })(world.path('/tell')), { is: api.AtlsError, message: /worker/i });
      await rejects(world.fetcher({ worker: () => { throw new Error('no workers today'); } })(world.path('/tell')), { is: Error, message: /no workers today/ });
    },
  },
  {
    name: 'leaves the page its pace',
    only: 'browser',
    worker: false,
    async run(api, world) {
      // While 64 MiB are decrypted elsewhere the page goes on: its turns are counted, not timed.
      const answer = await world.fetcher({ worker: true })(world.path('/blocks/64'));
      let turns = 0;
      let over = false;
      const turning = (async () => {
        while (!over) {
          await new Promise(resolve => setTimeout(resolve, 0));
          turns++;
        }
      })();
      let total = 0;
      for (const reader = answer.body.getReader(); ;) {
        const { done, value } = await reader.read();
        if (done) break;
        total += value.length;
      }
      over = true;
      await turning;
      equal(total, 64 << 20);
      ok(turns > 10, `${turns} turns`);
    },
  },
  {
    name: 'gives errors as the page would',
    only: 'browser',
    worker: false,
    async run(api, world) {
      const policy = { ...world.policy, os_image_hash: '00'.repeat(32) };
      const seen = [];
      for (const worker of [true, false]) {
        const error = await rejects(world.fetcher({ worker, policy })(world.path('/tell')), { is: api.AtlsError });
        seen.push({ name: error.name, code: error.code, category: error.category, number: error.number, retryable: error.retryable, message: error.message });
      }
      equal(seen[0], seen[1]);
      for (const wrong of [{ proxyUrl: '' }, { policy: undefined }]) throws(() => world.fetcher({ worker: true, ...wrong }), { is: Error });
    },
  },
  {
    name: 'is not to be had in this runtime, or works',
    only: 'node',
    async run(api, world) {
      if (typeof globalThis.Worker === 'function') return;
      await rejects((async () => world.fetcher({ worker: true })(world.path('/tell')))(), { is: Error, message: /worker/i });
    },
  },
];
