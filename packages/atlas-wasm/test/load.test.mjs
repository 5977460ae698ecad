// Files of the package: from bytes, files and servers, with their integrity.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { loadBytes, loadModule } from '../dist/load.js';

const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0); // the smallest module there is
const sri = (bytes, algorithm = 'sha384') => `${algorithm}-${createHash(algorithm).update(bytes).digest('base64')}`;

test('bytes, with the right integrity and without', async () => {
  assert.deepEqual(await loadBytes(empty, 'it'), empty);
  assert.deepEqual(await loadBytes(empty.buffer, 'it', sri(empty)), empty);
  assert.deepEqual(await loadBytes(empty, 'it', `${sri(empty, 'sha512')} ${sri(Uint8Array.of(1), 'sha512')}`), empty);
});

test('other bytes are refused, and so is a weak value beside a strong one', async () => {
  await assert.rejects(loadBytes(empty, 'it', sri(Uint8Array.of(1))), /it is not the one that was meant/);
  await assert.rejects(loadBytes(empty, 'it', `${sri(empty, 'sha256')} ${sri(Uint8Array.of(1))}`), /not the one/);
  await assert.rejects(loadBytes(empty, 'it', 'md5-abc'), TypeError);
});

test('files', async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'atlas-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'empty.wasm');
  await writeFile(file, empty);
  assert.ok(await loadModule(pathToFileURL(file), sri(empty)) instanceof WebAssembly.Module);
  await assert.rejects(loadModule(pathToFileURL(file).href, sri(Uint8Array.of(1))), /not the one/);
});

test('answers of a server', async () => {
  const answer = () => new Response(empty, { headers: { 'content-type': 'application/wasm' } });
  assert.ok(await loadModule(answer()) instanceof WebAssembly.Module);
  assert.ok(await loadModule(new Response(empty)) instanceof WebAssembly.Module);
  assert.ok(await loadModule(answer(), sri(empty)) instanceof WebAssembly.Module);
  await assert.rejects(loadModule(answer(), sri(Uint8Array.of(1))), /not the one/);
  await assert.rejects(loadModule('data:application/wasm;base64,AGFzbQEAAAA=', sri(Uint8Array.of(1))));
  await assert.rejects(loadModule(new Response('', { status: 404 })), /status 404/);
});

test('with an integrity all is checked here, whatever the server, and what is none is refused before anything is loaded', async t => {
  const served = 'data:application/wasm;base64,AGFzbQEAAAA=';
  assert.ok(await loadModule(served, sri(empty)) instanceof WebAssembly.Module);
  // fetch may not know the option, as Deno's and Bun's do not.
  t.mock.method(globalThis, 'fetch', async () => new Response(empty, { headers: { 'content-type': 'application/wasm' } }));
  const url = 'https://example.com/atlas.wasm';
  assert.ok(await loadModule(url, sri(empty)) instanceof WebAssembly.Module);
  for (const load of [loadModule, (input, value) => loadBytes(input, 'it', value)]) {
    const wrong = sri(Uint8Array.of(1));
    for (const input of [url, new URL(url), new Request(url)]) await assert.rejects(load(input, wrong), /not the one/);
    const calls = fetch.mock.callCount();
    const none = ['', ' ', 'nonsense', 'sha384', 'sha384-', 'sha384:AAAA', 'sha-384-AAAA', 'SHA384-AAAA', `${sri(empty)} nonsense`, 384, null, ['x'], {}];
    for (const value of none) await assert.rejects(load(url, value), TypeError, String(value));
    assert.equal(fetch.mock.callCount(), calls);
    await assert.rejects(load(url, 'sha384-AAAA'), /not the one/);
  }
});

test('a compiled module is taken as it is', async () => {
  const compiled = await WebAssembly.compile(empty);
  assert.equal(await loadModule(compiled), compiled);
  await assert.rejects(loadModule(compiled, sri(empty)), TypeError);
});
