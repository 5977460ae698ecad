// The page's side of chromium.mjs.
import { carrier } from './carrier.mjs';
import { attested, plainFetch } from './clients.mjs';
import { watchModules } from './clock.mjs';
import { run } from './jobs.mjs';

export async function ready(entry) {
  const began = performance.now();
  const { init } = await import(entry);
  const imported = performance.now();
  await init();
  return { import_ms: imported - began, ready_ms: performance.now() - imported };
}

export async function work(entry, job) {
  if (entry === 'fetch') return run(plainFetch(job), job);
  if (entry === 'websocket') return run(carrier(job, WebSocket), job);
  const clock = watchModules();
  const api = await import(entry);
  await api.init();
  // Another module than ours is timed from outside alone.
  return run(attested(api, job, 'version' in api ? clock : undefined, WebSocket), job);
}
