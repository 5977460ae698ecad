// Where bridge and endpoint are: what callers write, and what becomes of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { addressOf, proxyOf } from '../dist/address.js';

const here = { production: false, pageUrl: undefined };
const secure = { production: false, pageUrl: 'https://app.example.com/chat' };
const production = { production: true, pageUrl: undefined };

test('the target goes into the query, in place of any other; other parameters stay', () => {
  const { wsUrl } = addressOf('wss://proxy.example.com/x?token=a&target=old:1', 'tee.example.com', undefined, here);
  const { searchParams, pathname } = new URL(wsUrl);
  assert.deepEqual([...searchParams], [['token', 'a'], ['target', 'tee.example.com:443']]);
  assert.equal(pathname, '/x');
});

test('a proxy without a scheme is ws://', () => {
  assert.equal(proxyOf('127.0.0.1:9000', here).href, 'ws://127.0.0.1:9000/');
  assert.equal(proxyOf('//localhost:9000', here).href, 'ws://localhost:9000/');
});

test('the port 443 is left out of Host and base, another is not', () => {
  const usual = addressOf('localhost:1', 'Tee.Example.com', undefined, here);
  assert.deepEqual([usual.host, usual.base, usual.serverName], ['tee.example.com', 'https://tee.example.com', 'tee.example.com']);
  const other = addressOf('localhost:1', 'tee.example.com:8443', 'name.example.com', here);
  assert.deepEqual([other.host, other.base, other.serverName], ['tee.example.com:8443', 'https://tee.example.com:8443', 'name.example.com']);
});

test('IPv6 literals keep their brackets but for the name', () => {
  const { host, serverName, wsUrl } = addressOf('localhost:1', '[::1]:8443', undefined, here);
  assert.deepEqual([host, serverName, new URL(wsUrl).searchParams.get('target')], ['[::1]:8443', '::1', '[::1]:8443']);
});

for (const target of ['https://tee.example.com', 'tee.example.com/path', 'a b', 'tee:0', 'tee:99999', '::1', 'u@tee', '']) {
  test(`no target: ${JSON.stringify(target)}`, () => {
    assert.throws(() => addressOf('localhost:1', target, undefined, here), TypeError);
  });
}

test('what is missing is said in the words that callers know', () => {
  assert.throws(() => addressOf('', 'tee', undefined, here), /^TypeError: proxyUrl and targetHost are required for aTLS fetch$/);
  assert.throws(() => addressOf('localhost:1', undefined, undefined, here), /proxyUrl and targetHost are required/);
});

test('in production the way to the proxy is encrypted, but on this machine', () => {
  assert.throws(() => proxyOf('ws://proxy.example.com', production), { message: 'aTLS proxy URL must use wss:// in production' });
  for (const good of ['wss://proxy.example.com', 'ws://localhost:1', 'ws://127.0.0.2:1', 'ws://[::1]:1']) proxyOf(good, production);
});

test('a secure page is told of mixed content before it tries', () => {
  assert.throws(() => proxyOf('ws://proxy.example.com', secure), error => error.category === 'proxy_connection' && /mixed content/.test(error.message));
  proxyOf('ws://localhost:9000', secure);
});

test('other schemes are refused', () => {
  assert.throws(() => proxyOf('https://proxy.example.com', here), /must begin with wss:\/\/ or ws:\/\//);
});
