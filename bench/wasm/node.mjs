// One job of one client in Node.js.
//
//   node node.mjs CLIENT <JOB      CLIENT: a module with createAtlsFetch, or tls, fetch, websocket
//
// JOB: { do, seconds, warmup, options: of createAtlsFetch, evidence: of verifyQuote, application: host:port behind it all }. Out: rows,
// in JSON.
import { execFile } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { carrier } from './carrier.mjs';
import { watchModules } from './clock.mjs';
import { attested, plainFetch } from './clients.mjs';
import { medians, run } from './jobs.mjs';
import { plainTls } from './node-tls.mjs';

const STARTS = 7;
globalThis.crypto ??= webcrypto; // Node.js 18
const [client, once] = process.argv.slice(2);

async function ready() {
  const began = performance.now();
  const { init } = await import(pathToFileURL(client));
  const imported = performance.now();
  await init();
  return { import_ms: imported - began, ready_ms: performance.now() - imported };
}

/** Each in a process of its own. */
async function starts() {
  const took = [];
  for (let n = 0; n < STARTS; n++) {
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), client, '--ready']);
    took.push(JSON.parse(stdout));
  }
  return { '': medians(took) };
}

async function make(job) {
  if (client === 'tls') return plainTls(job);
  if (client === 'fetch') return plainFetch(job);
  const WebSocket = createRequire(new URL('../../packages/package.json', import.meta.url))('ws');
  if (client === 'websocket') return carrier(job, WebSocket);
  const clock = watchModules();
  const api = await import(pathToFileURL(client));
  await api.init();
  return attested(api, job, clock, WebSocket);
}

async function work() {
  const pieces = [];
  for await (const piece of process.stdin) pieces.push(piece);
  const job = JSON.parse(Buffer.concat(pieces));
  return job.do === 'ready' ? starts() : run(await make(job), job);
}

let status = 0;
try {
  console.log(JSON.stringify(await (once ? ready() : work())));
} catch (error) {
  console.error(error.message);
  status = 1;
}
process.exit(status); // connections that are kept are no reason to stay
