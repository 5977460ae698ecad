// What a caller of fetch means: the rules of fetch, and those of HTTP/1.1.
import assert from 'node:assert/strict';
import test from 'node:test';
import { prepare } from '../dist/request.js';
import { uploadOf } from '../dist/upload.js';

const base = 'https://tee.example.com:8443';
const host = 'tee.example.com:8443';
const ask = (input, init, defaults) => prepare(input, init, base, host, defaults);
const fields = async (init, defaults) => Object.fromEntries((await ask('/', init, defaults)).head.fields);

async function bytesOf(body) {
  const upload = uploadOf(body);
  const pieces = [];
  for (let piece = await upload.next(); piece; piece = await upload.next()) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('paths, queries and own URLs; fragments stay here', async () => {
  assert.equal((await ask('/v1/models?x=1#here')).head.target, '/v1/models?x=1');
  assert.equal((await ask('/v1/models?x=1#here')).url, `${base}/v1/models?x=1`);
  assert.equal((await ask('/v1#')).url, `${base}/v1`);
  assert.equal((await ask(`${base}/v1`)).url, `${base}/v1`);
  assert.equal((await ask(new URL(base))).head.target, '/');
  assert.equal((await ask(new Request(`${base}/r?q`))).head.target, '/r?q');
});

for (const other of ['https://tee.example.com/', 'http://tee.example.com:8443/', 'https://evil.example.com:8443/', '//evil.example.com/', 'data:,x']) {
  test(`another origin is refused: ${other}`, () => assert.rejects(ask(other), TypeError));
}

test('a user in the URL is refused', () => assert.rejects(ask('https://u:p@tee.example.com:8443/'), TypeError));

test('methods are normalised as fetch does', async () => {
  assert.equal((await ask('/', { method: 'post' })).head.method, 'POST');
  assert.equal((await ask('/', { method: 'patch' })).head.method, 'patch');
  for (const method of ['CONNECT', 'trace', 'a b', '']) await assert.rejects(ask('/', { method }), TypeError);
});

test('defaults first, then the caller, whatever the case', async () => {
  const sent = await fields({ headers: { 'x-a': 'mine' } }, { 'X-A': 'default', 'X-B': 'kept' });
  assert.deepEqual([sent['x-a'], sent['x-b']], ['mine', 'kept']);
});

test('Host is ours, Accept is there', async () => {
  const sent = await fields({ headers: { host: 'evil.example.com' } });
  assert.deepEqual([sent.Host, sent.host, sent.Accept], [host, undefined, '*/*']);
});

for (const name of ['connection', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'keep-alive', 'proxy-authorization', 'expect']) {
  test(`${name} is not the caller's`, () => assert.rejects(ask('/', { headers: { [name]: 'x' } }), TypeError));
}

test('no header can hold a line end', () => assert.rejects(ask('/', { headers: { 'x-a': 'b\r\nx-c: d' } }), TypeError));

test('content-length must be true', async () => {
  const init = length => ({ method: 'POST', body: 'four', headers: { 'content-length': length } });
  assert.equal((await ask('/', init('4'))).head.fields.some(([name]) => name === 'content-length'), false);
  await assert.rejects(ask('/', init('5')), TypeError);
});

test('GET and HEAD have no body', async () => {
  await assert.rejects(ask('/', { body: 'x' }), TypeError);
  await assert.rejects(ask('/', { method: 'HEAD', body: 'x' }), TypeError);
});

test('POST without a body says that it has none; GET does not', async () => {
  assert.equal(uploadOf((await ask('/', { method: 'POST' })).body).length, 0);
  assert.equal((await ask('/')).body, undefined);
});

const form = new FormData();
form.append('name', 'value');
for (const [what, body, type, text] of [
  ['text', 'hällo', 'text/plain;charset=UTF-8', 'hällo'],
  ['parameters', new URLSearchParams({ a: '1 2' }), 'application/x-www-form-urlencoded;charset=UTF-8', 'a=1+2'],
  ['a Blob', new Blob(['blob'], { type: 'x/y' }), 'x/y', 'blob'],
  ['bytes', new Uint8Array([65, 66]), undefined, 'AB'],
  ['a part of a buffer', new Uint8Array([1, 65, 66, 2]).subarray(1, 3), undefined, 'AB'],
]) {
  test(`a body of ${what}`, async () => {
    const { head, body: sent } = await ask('/', { method: 'POST', body });
    assert.equal(Object.fromEntries(head.fields)['content-type'], type);
    const bytes = await bytesOf(sent);
    assert.equal(bytes.toString(), text);
    assert.equal(uploadOf(sent).length, bytes.length);
  });
}

test('a form is written down with its border', async () => {
  const { head, body } = await ask('/', { method: 'POST', body: form });
  const border = /^multipart\/form-data; boundary=(.+)$/.exec(Object.fromEntries(head.fields)['content-type'])[1];
  assert.ok((await bytesOf(body)).toString().startsWith(`--${border}\r\n`));
});

test("the caller's content-type wins", async () => {
  assert.equal((await fields({ method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } }))['content-type'], 'application/json');
});

test("later changes of the caller's bytes do not matter", async () => {
  const mine = new Uint8Array([65]);
  const { body } = await ask('/', { method: 'POST', body: mine });
  mine[0] = 66;
  assert.equal((await bytesOf(body)).toString(), 'A');
});

test('a stream needs duplex, and has no length', async () => {
  const stream = () => new ReadableStream({ start: c => { c.enqueue(new Uint8Array([65])); c.close(); } });
  await assert.rejects(ask('/', { method: 'POST', body: stream() }), /duplex/);
  const { body } = await ask('/', { method: 'POST', body: stream(), duplex: 'half' });
  assert.equal(uploadOf(body).length, undefined);
  assert.equal((await bytesOf(body)).toString(), 'A');
  await assert.rejects(ask('/', { method: 'POST', body: stream(), duplex: 'half', headers: { 'content-length': '1' } }), TypeError);
});

test('anything that gives pieces is a stream, too', async () => {
  async function* pieces() { yield new Uint8Array([65]); yield new Uint8Array([66]); }
  const { body } = await ask('/', { method: 'POST', body: pieces(), duplex: 'half' });
  assert.equal((await bytesOf(body)).toString(), 'AB');
});

test("a Request's body: short ones have a length, long ones and those said to stream do not", async () => {
  const of = (text, init) => ask(new Request(`${base}/`, { method: 'POST', body: text }), init);
  const short = await of('short');
  assert.equal(short.body.kind, 'bytes');
  assert.equal((await bytesOf(short.body)).toString(), 'short');
  assert.equal(Object.fromEntries(short.head.fields)['content-type'], 'text/plain;charset=UTF-8');
  const long = await of('x'.repeat(3 << 20));
  assert.equal(long.body.kind, 'stream');
  assert.equal((await bytesOf(long.body)).length, 3 << 20);
  assert.equal((await of('short', { duplex: 'half' })).body.kind, 'stream');
});

test('init goes before the Request', async () => {
  const request = new Request(`${base}/`, { method: 'POST', body: 'a', headers: { 'x-a': '1', 'x-b': '2' } });
  const { head, body } = await ask(request, { method: 'PUT', body: 'b', headers: { 'x-a': '3' } });
  assert.equal(head.method, 'PUT');
  assert.equal((await bytesOf(body)).toString(), 'b');
  const sent = Object.fromEntries(head.fields);
  assert.deepEqual([sent['x-a'], sent['x-b']], ['3', undefined]);
});

test('signals: of init, else of the Request; an aborted one rejects with its reason', async () => {
  const reason = new Error('mine');
  await assert.rejects(ask('/', { signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(ask(new Request(`${base}/`, { signal: AbortSignal.abort(reason) })), reason);
});

test("an abort while a Request's body is gathered is heard at once, and ends that body", async () => {
  let cancelled;
  const stream = new ReadableStream({ pull: () => new Promise(() => {}), cancel: why => { cancelled = why; } });
  const control = new AbortController();
  const asked = ask(new Request(`${base}/`, { method: 'POST', body: stream, duplex: 'half' }), { signal: control.signal });
  const reason = new Error('mine');
  setImmediate(() => control.abort(reason));
  await assert.rejects(asked, reason);
  assert.equal(cancelled, reason);
});

test('a Request that does not show its body has one all the same', async t => {
  const shown = Object.getOwnPropertyDescriptor(Request.prototype, 'body');
  delete Request.prototype.body; // as in Firefox
  t.after(() => Object.defineProperty(Request.prototype, 'body', shown));
  const { body, head } = await ask(new Request(`${base}/`, { method: 'POST', body: 'hidden' }));
  assert.equal((await bytesOf(body)).toString(), 'hidden');
  assert.equal(Object.fromEntries(head.fields)['content-type'], 'text/plain;charset=UTF-8');
  assert.equal((await ask(new Request(base))).body, undefined);
});

test('a Request of another realm or of a library is one; what is neither it nor a text is refused', async () => {
  const foreign = { url: `${base}/r`, method: 'PUT', headers: new Map([['x-a', '1']]), body: {}, arrayBuffer: async () => new TextEncoder().encode('theirs').buffer };
  const { head, body } = await ask(foreign);
  assert.deepEqual([head.method, head.target, Object.fromEntries(head.fields)['x-a']], ['PUT', '/r', '1']);
  assert.equal((await bytesOf(body)).toString(), 'theirs');
  for (const input of [{}, { url: `${base}/` }, Object.create(null), new Map()]) await assert.rejects(ask(input), TypeError);
  assert.equal((await ask({ toString: () => '/own' })).head.target, '/own');
});

test('what could not be kept is refused', () => assert.rejects(ask('/', { integrity: 'sha256-x' }), TypeError));
