// Opens the page of an example in Chromium, under a strict Content Security Policy, and asks a question there; tells what the page shows.
//
//   node example-page.mjs FOLDER QUESTION      FOLDER: what the example's build made, and its config.json
//
// Out, one JSON object a line: { status: TEXT } and { answer: TEXT } whenever they change, { wrong: TEXT } for what should not be.
// Ends when its input does.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { launch } from './launch.mjs';

const [folder, question] = process.argv.slice(2);
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' };
const csp = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws://127.0.0.1:*; base-uri 'none'; " +
  "form-action 'none'; require-trusted-types-for 'script'";
const say = message => process.stdout.write(JSON.stringify(message) + '\n');

const server = http.createServer(async (request, response) => {
  const name = path.basename(new URL(request.url, 'http://localhost').pathname) || 'index.html';
  const body = await readFile(path.join(folder, name)).catch(() => null);
  response.writeHead(body ? 200 : 404, {
    'Content-Type': types[path.extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': csp, 'X-Content-Type-Options': 'nosniff',
  }).end(body);
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch(launch);
const tab = await browser.newPage();
tab.on('pageerror', error => say({ wrong: String(error) }));
tab.on('console', message => ['error', 'warning'].includes(message.type()) && say({ wrong: message.text() }));
await tab.exposeFunction('tell', say);
await tab.addInitScript(() => {
  document.addEventListener('securitypolicyviolation', event =>
    window.tell({ wrong: `${event.violatedDirective} forbids ${event.blockedURI} in ${event.sourceFile}:${event.lineNumber}` }));
  document.addEventListener('DOMContentLoaded', () => {
    for (const id of ['status', 'answer']) {
      const element = document.getElementById(id);
      let shown = element.textContent;
      new MutationObserver(() => {
        if (element.textContent !== shown) window.tell({ [id]: shown = element.textContent });
      }).observe(element, { childList: true, characterData: true, subtree: true });
    }
  });
});
await tab.goto(`http://localhost:${server.address().port}/`);
tab.locator('#status', { hasText: /^Attested/ }).waitFor().then(async () => {
  await tab.fill('#question', question);
  await tab.click('button');
}, () => {}); // refused, or it took too long: whoever started us has seen which

process.stdin.on('end', async () => {
  await browser.close();
  server.closeAllConnections();
  server.close();
}).resume();
