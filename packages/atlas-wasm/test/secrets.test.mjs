// What errors say of addresses: enough to find the mistake, and no secret.
import assert from 'node:assert/strict';
import test from 'node:test';
import { addressOf, proxyOf } from '../dist/address.js';
import { fetchCollateral } from '../dist/collateral-fetch.js';
import { notConnected } from '../dist/ending.js';
import { loadBytes } from '../dist/load.js';
import { withoutSecrets } from '../dist/text.js';

const here = { production: false, pageUrl: undefined };
const discreet = (error, ...words) => {
  assert.doesNotMatch(error.message, /s3cret|alice/);
  for (const word of words) assert.ok(error.message.includes(word), error.message);
  return true;
};

test('an address is shown without user, password, query and fragment', () => {
  for (const [url, shown] of [
    ['wss://alice:s3cret@b.example.com:81/x?token=s3cret#s3cret', 'wss://b.example.com:81/x'],
    ['https://b.example.com', 'https://b.example.com/'],
    ['/bundle.json?key=s3cret', '/bundle.json'],
    ['https://alice:s3cret@[', 'an address that is no URL'],
    ['data:s3cret', 'data:…'],
    ['file:///a/b?s3cret', '/a/b'],
  ]) assert.equal(withoutSecrets(url), shown);
});

test('errors of the bridge', () => {
  const url = 'wss://alice:s3cret@bridge.example.com/ws?target=t&token=s3cret';
  for (const opened of [true, false]) {
    for (const end of [{ code: 1006, reason: '', cause: new Error(`no way to ${url}`) }, { code: 1008, reason: 'target-not-allowed' }]) {
      discreet(notConnected(url, end, opened), 'wss://bridge.example.com/ws');
    }
  }
});

test('errors of options', () => {
  assert.throws(() => proxyOf('wss://alice:s3cret@[', here), error => discreet(error, 'proxy URL'));
  assert.throws(() => proxyOf('https://alice:s3cret@b.example.com', here), error => discreet(error, 'https:'));
  assert.throws(() => proxyOf('ws://alice:s3cret@b.example.com', { ...here, production: true }), discreet);
  assert.throws(() => proxyOf('ws://alice:s3cret@b.example.com', { ...here, pageUrl: 'https://page.example.com' }), discreet);
  assert.throws(() => addressOf('wss://b', 'alice:s3cret@t.example.com', undefined, here), error => discreet(error, 't.example.com'));
  assert.throws(() => addressOf('wss://b', 't.example.com?s3cret', undefined, here), error => discreet(error, 't.example.com'));
});

test('errors of collateral and of files', async () => {
  const options = more => ({ service: '', timeoutMs: 0, anew: false, fetch: async url => { throw new Error(`no way to ${url}`); }, ...more });
  const need = { requests: {}, fmspc: 'f', ca: 'processor', tee: 'tdx' };
  for (const bundleUrl of ['https://alice:s3cret@pccs.example.com/b.json', 'https://pccs.example.com/b.json?key=s3cret']) {
    await assert.rejects(fetchCollateral({}, need, options({ bundleUrl })), error => discreet(error, 'https://pccs.example.com/b.json'));
  }
  await assert.rejects(fetchCollateral({}, need, options({ service: 'https://alice:s3cret@pccs.example.com' })), error => discreet(error, 'pccs.example.com'));
  await assert.rejects(loadBytes('https://alice:s3cret@127.0.0.1:1/roots.bin?s3cret', 'it'), error => discreet(error, 'https://127.0.0.1:1/roots.bin'));
});
