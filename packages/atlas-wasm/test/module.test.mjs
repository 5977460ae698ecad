// The module itself, as `make package` puts it beside the code: what answers at once, and what happens after a trap.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { theEngine } from '../dist/init.js';
import * as atlas from '../dist/index.js';

const sha256 = text => createHash('sha256').update(text).digest('hex');

test('what answers at once asks for init first', () => {
  assert.throws(() => atlas.version(), /await init\(\) first/);
  assert.throws(() => atlas.mergeWithDefaultAppCompose({ pre_launch_script: '' }), /await init\(\) first/);
});

test('a failed init says why, and may be tried again', async () => {
  await assert.rejects(atlas.init(new URL('./nowhere.wasm', import.meta.url)), { code: 'ENOENT' });
  await assert.rejects(atlas.init({ wasm: Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0) }));
  await atlas.init({ wasm: new URL('../dist/atlas.wasm', import.meta.url) });
  await Promise.all([atlas.init(), atlas.init()]);
});

test('what says from where, or what is to be checked, and comes too late is an error', async () => {
  const value = `sha384-${'A'.repeat(64)}`;
  for (const given of [{ integrity: { wasm: value } }, { integrity: { roots: value } }, { roots: new Uint8Array(1) }, { wasm: 'other.wasm' }, 'other.wasm']) {
    await assert.rejects(atlas.init(given), /comes too late/);
  }
  for (const integrity of [value, null, { wasm: undefined, module: value }]) await assert.rejects(atlas.init({ integrity }), TypeError);
  await atlas.init({ wasm: new URL('../dist/atlas.wasm', import.meta.url) }); // the same again
  await atlas.init({ integrity: {} });
});

test('it says what it is', async () => {
  const { version, openssl, openssl_source: source, abi } = atlas.version();
  assert.equal(version, JSON.parse(await readFile(new URL('../package.json', import.meta.url))).version);
  assert.match(openssl, /^3\.5\./);
  assert.match(source, /^[0-9a-f]{64}$/);
  assert.equal(abi, 1);
});

test('a manifest over the defaults: values in their places, new names behind', () => {
  const merged = atlas.mergeWithDefaultAppCompose({ pre_launch_script: '#!/bin/sh', name: 'mine', zebra: [1, { b: 1, a: 2 }] });
  const names = Object.keys(merged);
  assert.deepEqual(names.slice(0, 3), ['allowed_envs', 'docker_compose_file', 'features']);
  assert.equal(names.indexOf('pre_launch_script'), names.indexOf('no_instance_id') + 1);
  assert.equal(names.at(-1), 'zebra');
  assert.equal(merged.name, 'mine');
  assert.equal(atlas.appComposeHash(merged), sha256(JSON.stringify(merged)));
});

test("the caller's defaults take the place of the built-in ones", () => {
  assert.deepEqual(atlas.mergeWithDefaultAppCompose({ a: 2 }, { pre_launch_script: '', a: 1, b: 1 }), { pre_launch_script: '', a: 2, b: 1 });
});

test('without a script there is no manifest', () => {
  for (const manifest of [{ name: 'mine' }, [], null, 'text']) {
    assert.throws(() => atlas.mergeWithDefaultAppCompose(manifest), /^Error: invalid app_compose: /);
  }
});

test('what cannot be written as JSON is said so', () => {
  const circle = { pre_launch_script: '' };
  circle.itself = circle;
  assert.throws(() => atlas.mergeWithDefaultAppCompose(circle), /failed to serialize merged app_compose/);
});

test("a text is hashed as the module's canonical form of it", () => {
  assert.equal(atlas.appComposeHash('{ "a" : 1 }'), sha256('{"a":1}'));
  assert.throws(() => atlas.appComposeHash('{'), /invalid app_compose/);
});

test('evidence that is none', () => {
  assert.throws(() => atlas.inspectQuote('00'), error => error instanceof atlas.AtlsError && error.category === 'attestation');
  assert.throws(() => atlas.inspectQuote('xyz'), TypeError);
  assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {} }), atlas.AtlsError);
  assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {}, leafSha256: '00' }), /leafSha256 must have 32 bytes/);
  assert.throws(() => atlas.verifyReceipt('{}'), { category: 'attestation' });
});

test('a policy is refused in words that name the member', () => {
  const judge = policy => () => atlas.verifyQuote({ quote: '00', collateral: {}, policy });
  assert.throws(judge({ type: 'dstack_tdx', misspelt: 1 }), error => error.category === 'policy' && /^invalid policy: .*misspelt/.test(error.message));
  assert.throws(judge({ type: 'dstack_tdx', disable_runtime_verification: true, allow_simulated: true }), { code: 'simulation_refused' });
});

test('simulation is switched on by true alone, not by what looks like it', async () => {
  const policy = { type: 'dstack_tdx', disable_runtime_verification: true, allow_simulated: true };
  for (const simulation of ['false', '0', 'true', 1, {}, null]) {
    await assert.rejects(atlas.init({ simulation }), /^TypeError: simulation must be true or false/);
    assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {}, policy, simulation }), TypeError);
    assert.throws(() => atlas.verifyReceipt('{}', { policy, simulation }), TypeError);
    assert.throws(() => atlas.createAtlsFetch({ proxyUrl: 'localhost', targetHost: 'localhost', policy, simulation }), TypeError);
  }
  assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {}, policy }), { code: 'simulation_refused' });
  assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {}, policy, simulation: true }), { category: 'attestation' });
});

test('a time that is none is refused, and not left out', () => {
  for (const at of [new Date(NaN), NaN, Infinity, -1, new Date(-1000), 8.64e15 + 1000, 1e300, null, '2026-01-01', 5n]) {
    assert.throws(() => atlas.verifyReceipt('{}', { at }), /^TypeError: at must be/, String(at));
    assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {}, at }), /^TypeError: at must be/, String(at));
  }
  for (const at of [new Date(), 0, 8.64e15]) {
    assert.throws(() => atlas.verifyReceipt('{}', { at }), { category: 'attestation' });
    assert.throws(() => atlas.verifyQuote({ quote: '00', collateral: {}, at }), { category: 'attestation' });
  }
});

test('after a trap the module starts anew, and what was of the old one is over', async () => {
  const old = await theEngine();
  assert.throws(() => old.exports.release(0x7ffffff0), error => error.category === 'internal' && /the WebAssembly module stopped/.test(error.message));
  assert.throws(() => old.exports.about(), { category: 'internal' });
  assert.throws(() => atlas.version(), { category: 'internal' });
  await atlas.init();
  assert.notEqual(await theEngine(), old);
  assert.equal(atlas.version().abi, 1);
});
