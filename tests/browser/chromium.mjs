// Opens a page in Chromium that talks to the bridge, and prints what the page saw, as JSON.
//
//   node chromium.mjs '{"cases": [{"name": …, "url": …, "do": "echo" | "listen", "bytes": N}]}'
//
// Each case: open a WebSocket; on "echo" send that many bytes in pieces and expect them back, then close;
// on "listen" wait for the end. The page's answer: opened, received bytes and their hash, close code, reason.
import http from 'node:http';
import { chromium } from 'playwright-core';
import { launch } from './launch.mjs';
import { page } from './page.mjs';

const job = JSON.parse(process.argv[2]);

// crypto.subtle needs a secure context: http on localhost is one.
const server = http.createServer((_, response) => {
  response.writeHead(200, { 'Content-Type': 'text/html' });
  response.end(page);
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const origin = `http://localhost:${server.address().port}`;

const browser = await chromium.launch(launch);
try {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const tab = await context.newPage();
  await tab.goto(origin);
  const results = [];
  for (const test of job.cases) results.push(await tab.evaluate(t => run(t), test));
  console.log(JSON.stringify({ origin, results }));
} finally {
  await browser.close();
  server.close();
}
