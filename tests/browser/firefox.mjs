// Opens a page in Firefox that talks to the bridge, and prints what the page saw, as JSON.
//
//   node firefox.mjs '{"cases": […], "seconds": N}'      cases and answer are those of chromium.mjs
//
// The browser is the distribution's own and nobody drives it: the page asks its server for the cases, runs them and posts
// what it saw. A fresh profile says that everything but loopback goes through a proxy that is not there.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { page } from './page.mjs';

const job = JSON.parse(process.argv[2]);

const preferences = {
  'app.normandy.enabled': false,
  'app.update.disabledForTesting': true,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.dns.forceResolve': '127.0.0.1',
  'network.proxy.failover_direct': false,
  'network.proxy.http': '127.0.0.1',
  'network.proxy.http_port': 9,
  'network.proxy.ssl': '127.0.0.1',
  'network.proxy.ssl_port': 9,
  'network.proxy.type': 1,
  'network.trr.mode': 5,
  'toolkit.telemetry.enabled': false,
};

const itself = `${page}<script>
(async () => {
  let answer;
  try {
    const cases = await (await fetch('/cases')).json();
    const results = [];
    for (const test of cases) results.push(await run(test));
    answer = { results };
  } catch (fault) {
    answer = { fault: String(fault) };
  }
  await fetch('/seen', { method: 'POST', body: JSON.stringify(answer) });
})();
</script>`;

let told;
const seen = new Promise(resolve => { told = resolve; });
// crypto.subtle needs a secure context: http on localhost is one.
const server = http.createServer(async (request, response) => {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) body += piece;
  if (request.url === '/cases') {
    response.end(JSON.stringify(job.cases));
  } else if (request.url === '/seen') {
    response.end();
    told(JSON.parse(body));
  } else if (request.url === '/') {
    response.setHeader('Content-Type', 'text/html');
    response.end(itself);
  } else {
    response.writeHead(404).end();
  }
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const origin = `http://localhost:${server.address().port}`;

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'firefox-'));
fs.writeFileSync(path.join(home, 'user.js'),
  Object.entries(preferences).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(''));
// A home of its own: nothing of the user's is read or written. A group of its own: its children end with it.
const browser = spawn(process.env.FIREFOX || '/usr/bin/firefox-esr', ['--headless', '--no-remote', '--profile', home, origin], {
  detached: true,
  env: { PATH: process.env.PATH, HOME: home, TMPDIR: home, MOZ_CRASHREPORTER_DISABLE: '1', MOZ_HEADLESS: '1' },
  stdio: ['ignore', 'ignore', 'pipe'],
});
let said = '';
browser.stderr.setEncoding('utf8').on('data', text => { said = (said + text).slice(-2000); });
const ended = new Promise(resolve => {
  browser.on('error', fault => resolve({ fault: String(fault) }));
  browser.on('exit', code => resolve({ fault: `the browser ended by itself: ${code}` }));
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => told({ fault: signal }));
let clock;
const late = new Promise(resolve => { clock = setTimeout(resolve, (job.seconds || 90) * 1000, { fault: 'the page said nothing in time' }); });

const answer = await Promise.race([seen, ended, late]);
clearTimeout(clock);
if (browser.pid) {
  try { process.kill(-browser.pid, 'SIGKILL'); } catch { /* It had ended. */ }
  await ended;
}
server.closeAllConnections();
server.close();
fs.rmSync(home, { recursive: true, force: true, maxRetries: 20 });
if (answer.fault) {
  console.error(answer.fault, said);
  process.exitCode = 1;
} else {
  console.log(JSON.stringify({ origin, results: answer.results }));
}
