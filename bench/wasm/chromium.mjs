// One job of one client in a page in Chromium.
//
//   node chromium.mjs CLIENT <JOB      CLIENT: a module with createAtlsFetch, with its files beside it; or fetch, websocket
//
// JOB and answer: as those of node.mjs. The page is isolated, so that its clock has a resolution of microseconds.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from '../../tests/browser/launch.mjs';
import { medians } from './jobs.mjs';

const { chromium } = createRequire(new URL('../../tests/browser/package.json', import.meta.url))('playwright-core');
const LOADS = 9;
const COLD = 4; // loads until files, and what the compiler made of them, are cached
const here = path.dirname(fileURLToPath(import.meta.url));
const [client] = process.argv.slice(2);
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

const pieces = [];
for await (const piece of process.stdin) pieces.push(piece);
const job = JSON.parse(Buffer.concat(pieces));
const entry = path.isAbsolute(client) ? `/client/${path.basename(client)}` : client;

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const place = pathname.startsWith('/client/') ? path.join(path.dirname(client), pathname.slice(8)) : path.join(here, pathname);
  const body = await readFile(place).catch(() => null);
  response.writeHead(body ? 200 : 404, {
    'Content-Type': types[path.extname(place)] ?? 'application/octet-stream', 'Cache-Control': 'max-age=3600',
    'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp',
  }).end(body);
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const profile = await mkdtemp(path.join(os.tmpdir(), 'bench-chromium-'));
const context = await chromium.launchPersistentContext(profile, {
  ...launch, args: [...launch.args, '--ignore-certificate-errors'], ignoreHTTPSErrors: true,
});

async function inPage(word, ...given) {
  const tab = await context.newPage();
  tab.on('console', message => message.type() === 'error' && console.error(message.text()));
  await tab.goto(`http://localhost:${server.address().port}/page.html`);
  const answer = await tab.evaluate(async ([name, words]) => (await import('/page.mjs'))[name](...words), [word, given]);
  await tab.close();
  return answer;
}

async function starts() {
  const took = [];
  for (let n = 0; n < LOADS; n++) took.push(await inPage('ready', entry));
  return { '': { first_ms: took[0].ready_ms, ...medians(took.slice(COLD)) } };
}

let status = 0;
try {
  console.log(JSON.stringify(await (job.do === 'ready' ? starts() : inPage('work', entry, job))));
} catch (error) {
  console.error(error.message.split('\n')[0]);
  status = 1;
}
await context.close();
await rm(profile, { recursive: true, force: true });
process.exit(status);
