// What the module says first: read off its ClientHello (RFC 8446, 4.1.2), byte by byte.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { startEngine } from '../dist/module.js';

const dist = name => readFile(new URL(`../dist/${name}`, import.meta.url));
const POLICY = JSON.stringify({ type: 'dstack_tdx', disable_runtime_verification: true, allowed_tcb_status: ['UpToDate'] });
const X25519MLKEM768 = 0x11ec, X25519 = 0x001d, CHACHA20_POLY1305 = 0x1303, AES_128_GCM = 0x1301, AES_256_GCM = 0x1302;
const SERVER_NAME = 0, GROUPS = 10, ALPN = 16, PRE_SHARED_KEY = 41, EARLY_DATA = 42, VERSIONS = 43, KEY_SHARE = 51;

async function clientHello(name) {
  const engine = await startEngine(await WebAssembly.compile(await dist('atlas.wasm')), await dist('roots.bin'));
  const { exports } = engine;
  const policy = engine.lending(lend => engine.check(exports.policy_new(...lend(POLICY))));
  const context = engine.check(exports.context_new(policy, 0, 0, 0));
  const connection = engine.lending(lend => engine.check(exports.connection_new(context, engine.verifier, ...lend(name), ...lend(name))));
  assert.equal(exports.connection_step(connection, Date.now() / 1000, 0), 0);
  const length = exports.connection_output(connection);
  return Buffer.from(engine.view(exports.answer_at(), length));
}

const numbers = bytes => Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(2 * i));

function read(record) {
  assert.equal(record[0], 22, 'a handshake record');
  assert.equal(record.readUInt16BE(3), record.length - 5);
  const hello = record.subarray(5);
  assert.equal(hello[0], 1, 'ClientHello');
  let at = 4 + 2 + 32;
  at += 1 + hello[at]; // session id
  const suites = numbers(hello.subarray(at + 2, at + 2 + hello.readUInt16BE(at)));
  at += 2 + hello.readUInt16BE(at);
  at += 1 + hello[at]; // compression
  const extensions = new Map();
  for (at += 2; at < hello.length; at += 4 + hello.readUInt16BE(at + 2)) {
    extensions.set(hello.readUInt16BE(at), hello.subarray(at + 4, at + 4 + hello.readUInt16BE(at + 2)));
  }
  return { suites, extensions };
}

function sharedKeys(extension) {
  const groups = [];
  for (let at = 2; at < extension.length; at += 4 + extension.readUInt16BE(at + 2)) groups.push(extension.readUInt16BE(at));
  return groups;
}

test('the hello offers TLS 1.3 alone, http/1.1 alone, post-quantum key exchange first, ChaCha20-Poly1305 first', async () => {
  const { suites, extensions } = read(await clientHello('enclave.example'));
  assert.deepEqual(suites.filter(suite => suite !== 0x00ff), [CHACHA20_POLY1305, AES_128_GCM, AES_256_GCM]);
  assert.deepEqual(numbers(extensions.get(VERSIONS).subarray(1)), [0x0304]);
  assert.equal(extensions.get(ALPN).subarray(3).toString(), 'http/1.1');
  assert.equal(numbers(extensions.get(GROUPS).subarray(2))[0], X25519MLKEM768);
  assert.deepEqual(sharedKeys(extensions.get(KEY_SHARE)), [X25519MLKEM768, X25519]);
  assert.ok(extensions.get(SERVER_NAME).toString('latin1').endsWith('enclave.example'));
});

test('it offers no early data, and to resume nothing', async () => {
  const { extensions } = read(await clientHello('enclave.example'));
  assert.ok(!extensions.has(EARLY_DATA));
  assert.ok(!extensions.has(PRE_SHARED_KEY));
});

test('an address is asked for without a server name (RFC 6066, 3)', async () => {
  assert.ok(!read(await clientHello('192.0.2.1')).extensions.has(SERVER_NAME));
});
