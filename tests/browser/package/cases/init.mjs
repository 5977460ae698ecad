// init(), version(), and what is said before them.
import { equal, like, ok, rejects, throws } from '../check.mjs';
import { hex } from '../world.mjs';

async function bytesOf(world, name) {
  const url = new URL(name, world.files);
  if (world.runtime === 'browser') return new Uint8Array(await (await fetch(url)).arrayBuffer());
  const { readFile } = await import('node:fs/promises');
  return new Uint8Array(await readFile(url));
}

async function integrityOf(bytes) {
  const digest = await crypto.subtle.digest('SHA-384', bytes);
  return `sha384-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
}

async function works(api, world) {
  const answer = await world.fetcher()(world.path('/tell'));
  equal((await answer.json()).method, 'GET');
}

const response = (bytes, type) => new Response(bytes, { headers: { 'Content-Type': type } });

/** What init takes for the module, by how it is called. */
const forms = {
  'a URL': async world => new URL('atlas.wasm', world.files),
  'a text': async world => String(new URL('atlas.wasm', world.files)),
  'an ArrayBuffer': async world => (await bytesOf(world, 'atlas.wasm')).buffer,
  'a Uint8Array': async world => bytesOf(world, 'atlas.wasm'),
  'a Response': async world => response(await bytesOf(world, 'atlas.wasm'), 'application/wasm'),
  'a Response of no type': async world => response(await bytesOf(world, 'atlas.wasm'), 'application/octet-stream'),
  'a compiled module': async world => WebAssembly.compile(await bytesOf(world, 'atlas.wasm')),
};

export const cases = [
  {
    name: 'is one and the same however often',
    fresh: true,
    worker: false,
    async run(api, world) {
      equal(api.default, api.init, 'the default export');
      equal(await Promise.all([api.init(), api.init(), api.init()]), [undefined, undefined, undefined]);
      await api.init();
      const about = api.version();
      equal(about.abi, 1, 'abi');
      ok(/^\d+\.\d+\.\d+/.test(about.version), `version ${about.version}`);
      ok(/^OpenSSL 3\.5|^3\.5/.test(about.openssl), `openssl ${about.openssl}`);
      ok(/^[0-9a-f]{64}$/.test(about.openssl_source), `openssl_source ${about.openssl_source}`);
      await works(api, world);
    },
  },
  {
    name: 'needs not be called before fetch',
    fresh: true,
    run: works,
  },
  {
    name: 'is missed by functions that cannot wait for it',
    fresh: true,
    worker: false,
    async run(api) {
      for (const call of [
        () => api.version(), () => api.mergeWithDefaultAppCompose({}), () => api.appComposeHash({}), () => api.inspectQuote(new Uint8Array(10)),
        () => api.verifyQuote({ quote: '00', collateral: {} }), () => api.verifyReceipt('{}'),
      ]) like(throws(call, { message: /init/ }), { is: Error });
    },
  },
  ...Object.entries(forms).map(([form, make]) => ({
    name: `takes ${form}`,
    fresh: true,
    worker: false,
    async run(api, world) {
      await api.init(await make(world));
      equal(api.version().abi, 1);
      await works(api, world);
    },
  })),
  {
    name: 'takes a Request',
    only: 'browser',
    fresh: true,
    worker: false,
    async run(api, world) {
      await api.init(new Request(new URL('atlas.wasm', world.files)));
      equal(api.version().abi, 1);
    },
  },
  {
    name: 'compiles what a server gives no type',
    only: 'browser',
    fresh: true,
    worker: false,
    async run(api, world) {
      await api.init({ wasm: '/odd/atlas.wasm', roots: '/odd/roots.bin' });
      await works(api, world);
    },
  },
  {
    name: 'takes roots of several forms',
    fresh: true,
    worker: false,
    async run(api, world) {
      await api.init({ roots: (await bytesOf(world, 'roots.bin')).buffer });
      await works(api, world);
    },
  },
  {
    name: 'checks integrity and may be tried again',
    fresh: true,
    worker: false,
    async run(api, world) {
      const good = { wasm: await integrityOf(await bytesOf(world, 'atlas.wasm')), roots: await integrityOf(await bytesOf(world, 'roots.bin')) };
      const bad = `sha384-${btoa('x'.repeat(48))}`;
      await rejects(api.init({ integrity: { ...good, wasm: bad } }), { is: Error, message: /integrity/i });
      await rejects(api.init({ integrity: { ...good, roots: bad } }), { is: Error, message: /integrity/i });
      throws(() => api.version(), { is: Error });
      await api.init({ integrity: good });
      await works(api, world);
    },
  },
  {
    name: 'comes with hashes that are right',
    fresh: true,
    worker: false,
    async run(api, world) {
      const told = JSON.parse(new TextDecoder().decode(await bytesOf(world, 'integrity.json')));
      const [wasm, roots] = [await integrityOf(await bytesOf(world, 'atlas.wasm')), await integrityOf(await bytesOf(world, 'roots.bin'))];
      ok(JSON.stringify(told).includes(wasm) && JSON.stringify(told).includes(roots), JSON.stringify(told));
      await api.init({ integrity: { wasm, roots } });
    },
  },
  {
    name: 'fails with a reason and may be tried again',
    fresh: true,
    worker: false,
    async run(api, world) {
      await rejects(api.init({ wasm: new Uint8Array(10) }), { is: Error });
      await rejects(api.init({ wasm: new URL('none.wasm', world.files) }), { is: Error, message: /none\.wasm/ });
      await rejects(api.init({ roots: new Uint8Array([1, 2, 3]) }), { is: Error, message: /roots|anchors/i });
      // Another module than ours, though it is one.
      await rejects(api.init({ wasm: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]) }), { is: Error });
      await api.init();
      await works(api, world);
    },
  },
  {
    name: 'says what the page must allow',
    only: 'browser',
    fresh: true,
    worker: false,
    page: '/no-wasm.html',
    violates: true,
    leaves: true,
    async run(api) {
      await rejects(api.init(), { is: Error, message: /wasm-unsafe-eval/ });
    },
  },
  {
    name: 'permits simulation for all that follows',
    fresh: true,
    worker: false,
    async run(api, world) {
      const { simulation, ...options } = world.options();
      equal(simulation, true);
      await rejects(api.createAtlsFetch(options)(world.path('/tell')), { is: api.AtlsError, category: 'policy', message: /simulat/i });
      equal((await world.note()).seen, []);
      await api.init({ simulation: true });
      equal((await api.createAtlsFetch(options)(world.path('/tell'))).status, 200);
    },
  },
  {
    name: 'knows the trust anchors of Mozilla',
    fresh: true,
    worker: false,
    async run(api, world) {
      // The simulated machine's authority is not among them.
      const { roots, ...options } = world.options();
      ok(roots, 'roots');
      await rejects(api.createAtlsFetch(options)(world.path('/tell')), { is: api.AtlsError, category: 'handshake', code: 'tls_handshake' });
      equal((await world.note()).seen, []);
      ok((await bytesOf(world, 'roots.bin')).length > 10_000, 'anchors');
      ok(hex((await bytesOf(world, 'atlas.wasm')).slice(0, 4)) === '0061736d', 'a module');
    },
  },
];
