// Intel's statements: stapled, fetched across origins, kept, spoilt.
import { equal, like, ok, rejects } from '../check.mjs';

/** An endpoint that sends none along. */
const bare = world => world.control('tee_other', { options: ['--without-collateral'] });
const asked = async world => (await world.control('asked')).length;
const get = async (fetch, world) => (await fetch(world.path('/tell'))).json();

/** Everything that was kept is forgotten. */
const forget = () => new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase('atlas-collateral');
  request.onsuccess = () => resolve();
  request.onerror = () => reject(request.error);
  request.onblocked = () => reject(new Error('the database is in use'));
});

/** Changes what is kept. */
async function kept(change) {
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open('atlas-collateral');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const done = [];
  for (const name of database.objectStoreNames) {
    const transaction = database.transaction(name, 'readwrite');
    const ended = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = () => reject(transaction.error);
    });
    const store = transaction.objectStore(name);
    store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) return;
      const value = structuredClone(cursor.value);
      done.push(change(value));
      cursor.update(value);
      cursor.continue();
    };
    await ended;
  }
  database.close();
  return done.length;
}

const everything = async (api, world, port, extra) => {
  const fetch = world.at(port, extra);
  const answer = await fetch(world.path('/tell'));
  await answer.text();
  fetch.close();
  return answer;
};

export const cases = [
  {
    name: 'that is stapled needs no other server',
    essential: true,
    async run(api, world) {
      const answer = await world.fetcher({ collateral: { cache: 'none' } })(world.path('/tell'));
      like(answer.attestationReport(), { status: 'UpToDate' });
      equal(await asked(world), 0, 'requests to the service');
    },
  },
  {
    name: 'that is not stapled is fetched across origins',
    essential: true,
    async run(api, world) {
      const port = await bare(world);
      await get(world.at(port, { collateral: { cache: 'none' } }), world);
      const requests = await world.control('asked', { least: 4 });
      equal(requests.map(({ path }) => path.split('?')[0]).sort(), ['/sgx/certification/v4/pckcrl', '/sgx/certification/v4/rootcacrl', '/tdx/certification/v4/qe/identity', '/tdx/certification/v4/tcb']);
      if (world.runtime === 'browser') equal(requests.every(({ origin }) => /^http:\/\/localhost:/.test(origin)), true, 'origins');
    },
  },
  {
    name: 'that was fetched serves the next connection',
    async run(api, world) {
      const port = await bare(world);
      // In other words: a service that nothing is kept of.
      const fetch = world.at(port, { collateral: { cache: 'memory', url: `${world.pccs}/sgx/certification/v4` } });
      await get(fetch, world);
      const first = await asked(world);
      equal(first, 4, 'requests of the first connection');
      fetch.close();
      await get(fetch, world);
      equal(await asked(world), first, 'requests after the second connection');
      fetch.close();
      const other = world.at(port, { collateral: { cache: 'none' } });
      await get(other, world);
      equal(await asked(world), first + 4, 'requests of one that keeps nothing');
    },
  },
  {
    name: 'is fetched once for many connections at a time',
    async run(api, world) {
      const port = await bare(world);
      const fetch = world.at(port, { collateral: { cache: 'memory', url: `${world.pccs}/tdx/certification/v4` } });
      await world.control('service', { held: true });
      const all = [1, 2, 3].map(() => get(fetch, world));
      await world.control('asked', { least: 1 });
      await world.control('service', {});
      await Promise.all(all);
      equal(await asked(world), 4, 'requests');
    },
  },
  {
    name: 'is kept for the next time that the page is loaded',
    only: 'browser',
    loads: [
      async (api, world) => {
        await forget();
        const port = await bare(world);
        await everything(api, world, port);
        equal(await asked(world), 4, 'requests of the first page');
      },
      async (api, world) => {
        const before = await asked(world);
        await everything(api, world, await world.control('tee_other_port'));
        equal(await asked(world), before, 'requests of the second page');
      },
    ],
  },
  {
    name: 'that has expired in the cache is fetched anew',
    only: 'browser',
    loads: [
      async (api, world) => {
        await forget();
        await everything(api, world, await bare(world));
      },
      async (api, world) => {
        const before = await asked(world);
        ok(await kept(value => { if (value.expires !== undefined) value.expires = typeof value.expires === 'number' ? 1 : new Date(1); }) > 0, 'an entry');
        await everything(api, world, await world.control('tee_other_port'));
        equal(await asked(world), before + 4, 'requests');
      },
    ],
  },
  {
    name: 'that was spoilt in the cache is fetched anew',
    only: 'browser',
    loads: [
      async (api, world) => {
        await forget();
        await everything(api, world, await bare(world));
      },
      async (api, world) => {
        const before = await asked(world);
        const spoil = value => {
          for (const [name, text] of Object.entries(value)) if (typeof text === 'string' && text.includes('tcb_info')) value[name] = text.replace('UpToDate', 'OutOfDate');
        };
        ok(await kept(spoil) > 0, 'an entry');
        const answer = await everything(api, world, await world.control('tee_other_port'));
        like(answer.attestationReport(), { status: 'UpToDate' });
        equal(await asked(world), before + 4, 'requests');
      },
    ],
  },
  {
    name: 'in the cache serves while the service is down',
    only: 'browser',
    loads: [
      async (api, world) => {
        await forget();
        await everything(api, world, await bare(world));
        await world.control('service', { down: true });
      },
      async (api, world) => {
        // Eight hours old, and nothing newer to be had; it has not expired.
        await kept(value => {
          for (const name of Object.keys(value)) if (/fetched|stored|time|at$/i.test(name) && typeof value[name] === 'number') value[name] -= value[name] > 1e11 ? 9 * 3600e3 : 9 * 3600;
        });
        await world.control('service', { down: true });
        await everything(api, world, await world.control('tee_other_port'));
      },
    ],
  },
  {
    name: 'that cannot be had is an error of its own',
    essential: true,
    async run(api, world) {
      const port = await bare(world);
      const fetch = world.at(port, { collateral: { cache: 'none' } });
      await world.control('service', { down: true });
      const error = await rejects(fetch(world.path('/tell')), { is: api.AtlsError, category: 'collateral', code: 'collateral_fetch', retryable: true });
      ok(error.message.includes(world.pccs.slice(7)), error.message);
      for (const lie of ['404', '503', 'redirect']) {
        await world.control('service', { lies: [['/tcb', lie]] });
        await rejects(fetch(world.path('/tell')), { is: api.AtlsError, category: 'collateral', code: 'collateral_fetch' }, lie);
      }
      equal((await world.note()).seen, []);
      await world.control('service', {});
      await get(fetch, world);
    },
  },
  {
    name: 'that the page may not read says so',
    only: 'browser',
    async run(api, world) {
      const port = await bare(world);
      await world.control('service', { lies: [['/tcb', 'no-cors']] });
      const error = await rejects(world.at(port, { collateral: { cache: 'none' } })(world.path('/tell')), { is: api.AtlsError, category: 'collateral' });
      ok(/CORS/.test(error.message), error.message);
    },
  },
  {
    name: 'that takes too long',
    async run(api, world) {
      const port = await bare(world);
      await world.control('service', { held: true });
      await rejects(world.at(port, { collateral: { cache: 'none' }, timeouts: { collateral: 100 } })(world.path('/tell')), { is: api.AtlsError, category: /^(timeout|collateral)$/, message: /timed? ?out|took longer|time/i });
    },
  },
  {
    name: 'that was tampered with',
    essential: true,
    async run(api, world) {
      const port = await bare(world);
      const fetch = world.at(port, { collateral: { cache: 'none' } });
      for (const [part, lie, code] of [
        ['/tcb', 'flip', 'tcb_info_signature'], ['/tcb', 'flip-early', /^tcb_info_/], ['/tcb', 'spaced', 'tcb_info_signature'], ['/tcb', 'cut', /./], ['/tcb', 'empty', /./], ['/tcb', 'words', /./],
        ['/tcb', 'no-chain', /./], ['/tcb', 'flip-chain', /./], ['/qe/identity', 'flip', 'qe_identity_signature'], ['/qe/identity', 'cut', /./], ['/qe/identity', 'flip-chain', /./],
        ['/pckcrl', 'flip', 'crl_signature'], ['/pckcrl', 'flip-early', /^(crl|certificate|collateral)_/], ['/pckcrl', 'cut', /./], ['/pckcrl', 'empty', /./], ['/rootcacrl', 'words', /./], ['/rootcacrl', 'cut', /./],
      ]) {
        await world.control('service', { lies: [[part, lie]] });
        const error = await rejects(fetch(world.path('/tell')), { is: api.AtlsError, category: /^(attestation|collateral)$/ }, `${part} ${lie}`);
        like(error, { code: typeof code === 'string' ? new RegExp(`^${code}$`) : code }, `${part} ${lie}`);
      }
      equal((await world.note()).seen, []);
      await world.control('service', {});
      await get(fetch, world);
    },
  },
  {
    name: 'that is too much is not swallowed',
    async run(api, world) {
      const port = await bare(world);
      await world.control('service', { lies: [['/tcb', 'huge']] });
      await rejects(world.at(port, { collateral: { cache: 'none' } })(world.path('/tell')), { is: api.AtlsError, category: /^(attestation|collateral)$/ });
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'that was stapled badly is fetched, or refused',
    async run(api, world) {
      const bad = world.collateral;
      bad.tcb_info = bad.tcb_info.replace('UpToDate', 'Revoked ');
      const port = await world.control('stranger', { kind: 'tee', collateral: bad });
      const fetch = world.at(port, { collateral: { cache: 'none' } });
      await world.control('service', { down: true });
      await rejects(fetch('/x'), { is: api.AtlsError, category: /^(attestation|collateral)$/ });
      equal((await world.control('stranger_requests', { port })).requests, []);
    },
  },
  {
    name: 'none is stapled as null',
    async run(api, world) {
      const port = await world.control('stranger', { kind: 'tee', collateral: null });
      equal(await (await world.at(port, { collateral: { cache: 'none' } })('/x')).text(), 'ok');
      equal(await asked(world), 4);
    },
  },
  {
    name: 'may come from the page itself',
    only: 'browser',
    async run(api, world) {
      const port = await bare(world);
      await get(world.at(port, { collateral: { url: '/pccs', cache: 'none' } }), world);
      const requests = await world.control('asked', { least: 4 });
      equal(requests.filter(({ origin }) => origin), [], 'of another origin');
      await get(world.at(port, { collateral: { url: new URL('/pccs/', location.href).href, cache: 'none' } }), world);
    },
  },
  {
    name: 'may come in one piece',
    async run(api, world) {
      const port = await bare(world);
      await get(world.at(port, { collateral: { bundleUrl: `${world.pccs}/collateral.json?fmspc={fmspc}&ca={ca}&tee={tee}`, cache: 'none' } }), world);
      const [{ path }, ...others] = await world.control('asked', { least: 1 });
      equal(others, []);
      ok(/^\/collateral\.json\?fmspc=[0-9A-F]{12}&ca=platform&tee=tdx$/i.test(path), path);
      api.closeAllConnections();
      await world.control('service', { lies: [['/collateral', 'words']] });
      await rejects(world.at(port, { collateral: { bundleUrl: `${world.pccs}/collateral.json`, cache: 'none' } })(world.path('/no')), { is: api.AtlsError, category: /^(attestation|collateral)$/ });
    },
  },
  {
    name: 'may be fetched by a function of the caller',
    worker: false,
    async run(api, world) {
      const port = await bare(world);
      const urls = [];
      const own = (input, init) => { urls.push(String(input?.url ?? input)); return fetch(input, init); };
      await get(world.at(port, { collateral: { fetch: own, cache: 'none' } }), world);
      equal(urls.length, 4);
      ok(urls.every(url => url.startsWith(world.pccs)), urls.join(' '));
      api.closeAllConnections();
      await rejects(world.at(port, { collateral: { fetch: async () => { throw new Error('not today'); }, cache: 'none' } })(world.path('/no')), { is: api.AtlsError, category: 'collateral', message: /not today|pccs|127\.0\.0\.1/ });
    },
  },
  {
    name: 'over http from afar is refused',
    async run(api, world) {
      const port = await bare(world);
      for (const url of ['http://pccs.example', 'http://127.0.0.1.example:1', 'ftp://127.0.0.1:1']) {
        await rejects((async () => world.at(port, { collateral: { url, cache: 'none' } })(world.path('/tell')))(), { is: Error, message: /https|http|URL|url/ }, url);
      }
      equal((await world.note()).seen, []);
    },
  },
];
