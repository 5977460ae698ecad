// Semantics of fetch: methods, bodies, headers, statuses, URLs.
import { equal, like, ok, rejects } from '../check.mjs';
import { bytes, collect, sha256, text } from '../world.mjs';

const headersOf = told => Object.fromEntries(told.headers.map(([name, value]) => [name.toLowerCase(), value]));

/** Sends that body; what the application says of it. */
async function sent(world, init, path = '/tell') {
  const answer = await world.fetcher()(world.path(path), { method: 'POST', ...init });
  equal(answer.status, 200, 'status');
  const told = await answer.json();
  return { ...told, headers: headersOf(told) };
}

const stream = (...pieces) => new ReadableStream({
  start(controller) {
    for (const piece of pieces) controller.enqueue(piece);
    controller.close();
  },
});

export const cases = [
  {
    name: 'every method arrives',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      for (const [given, arrived] of [['GET', 'GET'], ['POST', 'POST'], ['PUT', 'PUT'], ['PATCH', 'PATCH'], ['DELETE', 'DELETE'], ['OPTIONS', 'OPTIONS'], ['PROPFIND', 'PROPFIND'],
        ['get', 'GET'], ['post', 'POST'], ['delete', 'DELETE']]) {
        const told = await (await fetch(world.path('/tell'), { method: given })).json();
        equal(told.method, arrived, `method ${given}`);
        if (['POST', 'PUT'].includes(arrived)) equal(headersOf(told)['content-length'], '0', `Content-Length of ${arrived} without a body`);
      }
      equal((await fetch(world.path('/tell'))).ok, true, 'GET when nothing is said');
    },
  },
  {
    name: 'methods that are none are refused',
    async run(api, world) {
      const fetch = world.fetcher();
      for (const method of ['CONNECT', 'TRACE', 'TRACK', 'connect', 'A B', 'GET\r\nX: y', '', 'GÉT']) await rejects(fetch(world.path('/tell'), { method }), { is: TypeError }, method);
      await rejects(fetch(world.path('/tell'), { method: 'GET', body: 'x' }), { is: TypeError }, 'GET with a body');
      await rejects(fetch(world.path('/tell'), { method: 'HEAD', body: 'x' }), { is: TypeError }, 'HEAD with a body');
      equal((await world.note()).seen, []);
    },
  },
  {
    name: 'bodies of every kind arrive',
    essential: true,
    async run(api, world) {
      const data = Uint8Array.from({ length: 1000 }, (_, at) => at);
      const digest = await sha256(data);
      for (const [kind, body] of Object.entries({ 'Uint8Array': data, 'ArrayBuffer': data.buffer, 'DataView': new DataView(data.buffer), 'part of a buffer': new Uint8Array([9, ...data, 9]).subarray(1, 1001), 'Blob': new Blob([data]) })) {
        const told = await sent(world, { body });
        equal([told.length, told.sha256, told.headers['content-length'], told.headers['transfer-encoding']], [1000, digest, '1000', undefined], kind);
      }
      const string = await sent(world, { body: 'grüße' });
      equal([string.text, string.headers['content-type'], string.headers['content-length']], ['grüße', 'text/plain;charset=UTF-8', '7'], 'a string');
      const empty = await sent(world, { body: '' });
      equal([empty.length, empty.headers['content-length']], [0, '0'], 'an empty string');
      const none = await sent(world, { body: null });
      equal([none.length, none.headers['content-type']], [0, undefined], 'null');
      const parameters = await sent(world, { body: new URLSearchParams({ a: '1 2', b: 'ü' }) });
      equal([parameters.text, parameters.headers['content-type']], ['a=1+2&b=%C3%BC', 'application/x-www-form-urlencoded;charset=UTF-8'], 'URLSearchParams');
      const blob = await sent(world, { body: new Blob(['x'], { type: 'image/x-test' }) });
      equal(blob.headers['content-type'], 'image/x-test', 'a Blob with a type');
      const own = await sent(world, { body: 'x', headers: { 'content-type': 'application/json' } });
      equal(own.headers['content-type'], 'application/json', 'a type of the caller');
    },
  },
  {
    name: 'forms arrive as multipart',
    async run(api, world) {
      const form = new FormData();
      form.append('name', 'välue');
      form.append('file', new Blob(['contents\r\n'], { type: 'text/x-test' }), 'a.txt');
      const told = await sent(world, { body: form });
      const [, boundary] = /^multipart\/form-data; ?boundary=(.+)$/.exec(told.headers['content-type']);
      ok(told.text.startsWith(`--${boundary}\r\n`) && told.text.trimEnd().endsWith(`--${boundary}--`), told.text);
      ok(told.text.includes('name="name"\r\n\r\nvälue\r\n') && told.text.includes('filename="a.txt"') && told.text.includes('text/x-test\r\n\r\ncontents\r\n\r\n'), told.text);
      equal(told.headers['content-length'], String(told.length));
    },
  },
  {
    name: 'streams are sent chunked',
    essential: true,
    async run(api, world) {
      const told = await sent(world, { body: stream(bytes('one '), bytes(''), bytes('two '), new Uint8Array(100_000)), duplex: 'half' });
      equal([told.length, told.headers['transfer-encoding'], told.headers['content-length']], [100_008, 'chunked', undefined]);
      const empty = await sent(world, { body: stream(), duplex: 'half' });
      equal([empty.length, empty.headers['transfer-encoding']], [0, 'chunked'], 'an empty one');
      await rejects(world.fetcher()(world.path('/tell'), { method: 'POST', body: stream(bytes('x')) }), { is: TypeError }, 'without duplex');
      await rejects(world.fetcher()(world.path('/tell'), { method: 'POST', body: stream('text, not bytes'), duplex: 'half' }), { is: TypeError }, 'no bytes');
    },
  },
  {
    name: 'a stream of the caller that fails fails the request',
    async run(api, world) {
      class Mine extends Error {}
      const failing = new ReadableStream({
        pull(controller) {
          controller.enqueue(bytes('some'));
          controller.error(new Mine('no more'));
        },
      }, { highWaterMark: 0 });
      await rejects(world.fetcher()(world.path('/tell'), { method: 'POST', body: failing, duplex: 'half' }), { is: Error, message: /no more/ });
      await world.control('tunnels', { count: 0 });
      equal((await world.note()).answered, 0, 'requests that were whole');
    },
  },
  {
    name: 'Request objects are taken as they are',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const url = `https://${world.target}${world.path('/tell')}`;
      const request = new Request(url, { method: 'PUT', body: 'from a Request', headers: { 'X-Mine': 'a', 'Content-Type': 'text/x-mine' } });
      const told = await (await fetch(request)).json();
      equal([told.method, told.text, headersOf(told)['x-mine'], headersOf(told)['content-type']], ['PUT', 'from a Request', 'a', 'text/x-mine']);
      ok(request.bodyUsed, 'its body was used');
      await rejects(fetch(request), { is: TypeError }, 'a second time');
      const second = await (await fetch(new Request(url, { method: 'PUT', body: 'x', headers: { 'X-Mine': 'a' } }), { method: 'PATCH', body: 'y', headers: { 'X-Other': 'b' } })).json();
      equal([second.method, second.text, headersOf(second)['x-mine'], headersOf(second)['x-other']], ['PATCH', 'y', undefined, 'b'], 'init goes first');
      equal((await (await fetch(new Request(url))).json()).method, 'GET');
      const streamed = new Request(url, { method: 'POST', body: stream(bytes('streamed')), duplex: 'half' });
      equal((await (await fetch(streamed)).json()).text, 'streamed');
    },
  },
  {
    name: 'URLs are relative or of the same origin',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const told = async input => (await (await fetch(input)).json()).path;
      const query = `t=${world.tag}`;
      equal(await told(`/tell?${query}`), `/tell?${query}`);
      equal(await told(`tell?${query}`), `/tell?${query}`, 'without a slash');
      equal(await told(`/tell/../tell/a%20b/ü?${query}&q=a b`), `/tell/a%20b/%C3%BC?${query}&q=a%20b`, 'as URLs are written');
      equal(await told(`/tell?${query}#fragment`), `/tell?${query}`, 'fragments stay here');
      equal(await told(`https://${world.target}/tell?${query}`), `/tell?${query}`, 'the same origin');
      equal(await told(new URL(`https://${world.target}/tell?${query}`)), `/tell?${query}`, 'a URL');
      equal(await told(`//${world.target}/tell?${query}`), `/tell?${query}`, 'without a scheme');
      equal(await told(`?${query}`), `/?${query}`, 'a query alone');
    },
  },
  {
    name: 'URLs of another origin are refused',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const path = world.path('/tell');
      for (const url of [`https://elsewhere.test${path}`, `https://localhost${path}`, `https://localhost:1${path}`, `http://${world.target}${path}`, `https://127.0.0.1:${world.port}${path}`,
        `//elsewhere.test${path}`, `wss://${world.target}${path}`, 'data:text/plain,x', 'file:///etc/passwd', 'https://', `https://user:word@${world.target}${path}`, 'blob:https://x/y', '\\\\elsewhere.test\\x']) {
        await rejects(fetch(url), { is: TypeError }, url);
      }
      await rejects(fetch(new Request(`https://elsewhere.test${path}`)), { is: TypeError }, 'a Request');
      await rejects(fetch(new URL(`https://elsewhere.test${path}`)), { is: TypeError }, 'a URL');
      equal((await world.note()).seen, []);
      equal(world.pool().total, 0, 'connections');
    },
  },
  {
    name: 'HEAD and statuses without a body have none',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const before = await world.control('tunnels_begun');
      const head = await fetch(world.path('/blocks/3'), { method: 'HEAD' });
      equal([head.status, head.body, head.headers.get('content-length'), await head.text()], [200, null, String(3 << 20), ''], 'HEAD');
      for (const status of [204, 304]) {
        const answer = await fetch(world.path(`/status/${status}`));
        equal([answer.status, answer.body, answer.headers.get('x-answer'), answer.attestation.trusted], [status, null, 'there', true], `status ${status}`);
      }
      const reset = await fetch(world.path('/status/205'));
      equal([reset.status, reset.body], [205, null], 'status 205');
      equal(await (await fetch(world.path('/status/200'))).text(), '', 'an empty body');
      equal((await fetch(world.path('/tell'))).status, 200, 'after them');
      equal(await world.control('tunnels_begun') - before, 1, 'connections: none of them costs one');
    },
  },
  {
    name: 'errors of HTTP are answers',
    async run(api, world) {
      const fetch = world.fetcher();
      for (const status of [400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 599]) {
        const answer = await fetch(world.path(`/error/${status}`));
        equal([answer.status, answer.ok, (await answer.json()).error], [status, false, 'so it is']);
      }
      const created = await fetch(world.path('/status/201'), { method: 'POST', body: 'x' });
      equal([created.status, created.ok, created.statusText], [201, true, 'Created']);
      const missing = await fetch(world.path('/error/404'));
      equal(missing.statusText, 'Not Found');
    },
  },
  {
    name: 'redirects are answers, unless they are errors',
    async run(api, world) {
      const fetch = world.fetcher();
      for (const redirect of [undefined, 'follow', 'manual']) {
        const answer = await fetch(world.path('/redirect'), { redirect });
        equal([answer.status, answer.headers.get('location'), answer.redirected, answer.type === 'opaqueredirect'], [302, 'https://elsewhere.test/', false, false], redirect);
      }
      await rejects(fetch(world.path('/redirect'), { redirect: 'error' }), { is: TypeError, message: /redirect/ });
      equal((await fetch(world.path('/tell'), { redirect: 'error' })).status, 200, 'where there is none');
    },
  },
  {
    name: 'headers of the caller arrive',
    async run(api, world) {
      const fetch = world.fetcher();
      const told = await (await fetch(world.path('/tell'), { headers: [['X-List', 'a'], ['x-list', 'b'], ['X-Latin', 'é'], ['X-Empty', '']] })).json();
      const seen = headersOf(told);
      equal([seen['x-list'], seen['x-empty']], ['a, b', '']);
      ok(['é', 'Ã©'].includes(seen['x-latin']), `X-Latin: ${seen['x-latin']}`);
      equal(seen['accept-encoding'], undefined, 'Accept-Encoding, which nobody asked for');
      const more = headersOf(await (await fetch(world.path('/tell'), { headers: { 'Authorization': 'Bearer t', 'Cookie': 'a=b', 'User-Agent': 'me', 'Origin': 'https://mine.test', 'Accept': 'text/x' } })).json());
      equal([more.authorization, more.accept], ['Bearer t', 'text/x']);
      const object = headersOf(await (await fetch(world.path('/tell'), { headers: new Headers({ 'X-Object': '1' }) })).json());
      equal(object['x-object'], '1');
    },
  },
  {
    name: 'headers that would break the framing are refused or ignored',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      for (const headers of [{ 'X Y': 'a' }, { 'X-Y': 'a\r\nX-Injected: b' }, { 'X-Y': 'a\nb' }, { 'X-Y': 'a\0b' }, { '': 'a' }, { 'X:Y': 'a' }, { 'X-Y': 'ü€' }]) {
        await rejects(fetch(world.path('/tell'), { headers }), { is: TypeError }, JSON.stringify(headers));
      }
      for (const [name, value] of [['Connection', 'close'], ['Transfer-Encoding', 'chunked'], ['Upgrade', 'websocket'], ['TE', 'trailers'], ['Trailer', 'X'], ['Keep-Alive', '5'],
        ['Proxy-Authorization', 'x'], ['Proxy-Connection', 'close'], ['Content-Length', '5'], ['Content-Length', '03']]) {
        await rejects(fetch(world.path('/tell'), { method: 'POST', body: 'abc', headers: { [name]: value } }), { is: TypeError }, name);
      }
      equal((await world.note()).seen, []);
      const told = await (await fetch(world.path('/tell'), { method: 'POST', body: 'abc', headers: { 'Content-Length': '3', 'Host': 'elsewhere.test' } })).json();
      equal([told.length, headersOf(told).host, told.headers.filter(([name]) => name.toLowerCase() === 'content-length').length], [3, world.target, 1]);
    },
  },
  {
    name: 'headers of the answer are there',
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/cookies'));
      equal(answer.headers.get('x-twice'), 'one, two');
      if (world.runtime === 'node') equal(answer.headers.getSetCookie(), ['a=1; Path=/', 'b=2, still b']);
      equal(answer.headers.get('content-length'), '0');
      like(answer, { redirected: false, ok: true, bodyUsed: false });
    },
  },
  {
    name: 'what is compressed stays so',
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/compressed'), { headers: { 'Accept-Encoding': 'gzip' } });
      equal(answer.headers.get('content-encoding'), 'gzip');
      const unpacked = (await answer.blob()).stream().pipeThrough(new DecompressionStream('gzip'));
      equal(text(await collect(unpacked)), 'hello world');
    },
  },
  {
    name: 'bodies end as their framing says',
    essential: true,
    async run(api, world) {
      const fetch = world.fetcher();
      const digest = await world.control('digests', { count: 1 });
      for (const path of ['/blocks/1', '/chunks/1', '/until-close/1']) {
        const answer = await fetch(world.path(path));
        const whole = await collect(answer.body);
        equal(whole.length, 1 << 20, path);
        const inner = Uint8Array.from((await sha256(whole)).match(/../g), pair => parseInt(pair, 16));
        equal(await sha256(inner), digest, path);
      }
    },
  },
  {
    name: 'bodies are read in every way',
    async run(api, world) {
      const fetch = world.fetcher();
      const get = () => fetch(world.path('/error/200'));
      equal(await (await get()).text(), '{"error":"so it is"}');
      equal((await (await get()).json()).error, 'so it is');
      equal((await (await get()).arrayBuffer()).byteLength, 20);
      const blob = await (await get()).blob();
      equal([blob.size, blob.type], [20, 'application/json']);
      const answer = await get();
      const copy = answer.clone();
      equal([await answer.text(), await copy.text()], ['{"error":"so it is"}', '{"error":"so it is"}'], 'a clone');
      await rejects(answer.text(), { is: TypeError }, 'a second time');
      const parts = [];
      for await (const part of streamOf(await get())) parts.push(part);
      equal(parts.reduce((sum, part) => sum + part.length, 0), 20, 'by iteration');
      const form = await fetch(world.path('/tell'), { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
      equal((await form.json()).text, 'a=b');
    },
  },
  {
    name: 'a byte reader may bring its own buffer',
    worker: false,
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/blocks/1'));
      const reader = answer.body.getReader({ mode: 'byob' });
      let read = 0;
      let buffer = new ArrayBuffer(1000);
      for (;;) {
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (done) break;
        ok(value.length > 0 && value.length <= 1000, `${value.length} bytes into a buffer of 1000`);
        read += value.length;
        buffer = value.buffer;
      }
      equal(read, 1 << 20);
    },
  },
  {
    name: 'options without meaning here do no harm',
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/tell'), { credentials: 'include', mode: 'cors', cache: 'no-store', referrerPolicy: 'no-referrer', keepalive: false, integrity: '', priority: 'high' });
      equal(answer.status, 200);
    },
  },
];

/** Bodies are iterable in Node.js; elsewhere by a reader. */
async function* streamOf(answer) {
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
