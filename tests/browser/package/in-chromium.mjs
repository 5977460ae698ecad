// Cases in a page, under a strict Content Security Policy. The page asks for its work over HTTP: nothing is evaluated in it from outside.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { launch } from '../launch.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const types = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.html': 'text/html; charset=utf-8', '.wasm': 'application/wasm', '.json': 'application/json' };
const rules = {
  'default-src': "'none'", 'script-src': "'self' 'wasm-unsafe-eval'", 'worker-src': "'self'", 'connect-src': "'self' ws://127.0.0.1:* http://127.0.0.1:*",
  'base-uri': "'none'", 'report-uri': '/driver/violation',
};
const csp = changed => Object.entries({ ...rules, ...changed }).map(entry => entry.join(' ')).join('; ');
// Pages that differ in nothing else.
const pages = {
  '/page.html': csp({}), '/no-wasm.html': csp({ 'script-src': "'self'" }),
  '/trusted-types.html': csp({ 'require-trusted-types-for': "'script'", 'trusted-types': "'none'" }),
};

export async function start(folder, control) {
  const roots = { '/suite/': `${here}/`, '/package/': `${folder}/node_modules/@concrete-security/atlas-wasm/` };
  const violations = [];
  const tolerant = new Set(); // loads of pages that are meant to violate theirs
  const served = [];
  let hand = null; // gives work to the page that waits for it
  let answered = null; // takes what it found
  let current = null;
  let loads = 0;

  const words = {
    // A page that has been left asks in vain.
    next: ({ load }) => new Promise(resolve => { if (load === String(loads)) hand = resolve; }),
    result: body => answered(body.failure),
    control: async body => {
      try {
        return { value: body.word === 'served' ? [...served] : await control(body.word, body.with) };
      } catch (error) {
        return { fault: error.message };
      }
    },
    violation: body => { violations.push(body['csp-report'] ?? body); },
  };

  async function answer(request, response) {
    const url = new URL(request.url, 'http://localhost');
    if (url.pathname.startsWith('/driver/')) {
      const pieces = [];
      for await (const piece of request) pieces.push(piece);
      const result = await words[url.pathname.slice(8)](pieces.length ? JSON.parse(Buffer.concat(pieces)) : {});
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(result ?? {}));
      return;
    }
    if (url.pathname.startsWith('/pccs/')) { // a mirror of Intel's service on the page's own origin
      const answer = await fetch(current.world.pccs + url.pathname.slice(5) + url.search);
      const fields = [...answer.headers].filter(([name]) => name.endsWith('issuer-chain') || name === 'content-type');
      response.writeHead(answer.status, Object.fromEntries(fields)).end(Buffer.from(await answer.arrayBuffer()));
      return;
    }
    served.push(url.pathname);
    const odd = url.pathname.startsWith('/odd/'); // the same files, of no type
    const name = odd ? `/package/dist/${url.pathname.slice(5)}` : url.pathname in pages ? '/suite/page.html' : url.pathname;
    const root = Object.keys(roots).find(prefix => name.startsWith(prefix));
    const body = root && !name.includes('..') && await readFile(roots[root] + name.slice(root.length)).catch(() => null);
    if (!body) {
      response.writeHead(404, { 'Content-Security-Policy': csp({}) }).end();
      return;
    }
    response.writeHead(200, {
      'Content-Type': odd ? 'application/octet-stream' : types[path.extname(name)] ?? 'application/octet-stream',
      'Content-Security-Policy': pages[url.pathname] ?? csp({}), // scripts of workers have their own
      'Cache-Control': name.endsWith('js') ? 'max-age=3600' : 'no-cache', 'X-Content-Type-Options': 'nosniff',
    }).end(body);
  }

  const server = http.createServer((request, response) => {
    answer(request, response).catch(error => { response.writeHead(500).end(); console.error(error); });
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://localhost:${server.address().port}`;

  const browser = await chromium.launch(launch);
  const tab = await (await browser.newContext()).newPage();
  tab.on('crash', () => answered?.('the page crashed'));
  tab.on('console', message => console.error(`console: ${message.text()}`));
  let shown = null;

  async function show(page) {
    hand = null;
    await tab.goto(`${origin}${page}?${++loads}`);
    shown = page;
  }

  /** Gives the page that piece of work; what it found. */
  async function work(what) {
    while (!hand) await new Promise(resolve => setTimeout(resolve, 1));
    const found = new Promise(resolve => { answered = resolve; });
    hand(what);
    hand = null;
    return found;
  }

  return {
    async run(message) {
      current = message;
      const page = message.page ?? '/page.html';
      served.length = 0;
      const own = message.fresh || message.loads || message.violates;
      if (shown !== page || own) await show(page);
      let failure = null;
      for (let load = 0; load < (message.loads ?? 1) && !failure; load++) {
        if (load) await show(page);
        failure = await work({ ...message, load });
      }
      // The page tells of its own; those of workers come here alone.
      if (message.violates) tolerant.add(String(loads));
      const unexpected = violations.splice(0).filter(({ 'document-uri': uri }) => !tolerant.has(new URL(uri).search.slice(1)));
      failure ??= unexpected.length ? `the page's Content Security Policy was violated: ${JSON.stringify(unexpected)}` : null;
      if (failure || own) shown = null;
      return failure;
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
