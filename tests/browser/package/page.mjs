// The page's side: asks for work, does it, tells what it found.
import * as api from '/package/dist/index.js';
import { runCase } from './run.mjs';

const faults = [];
let violates = false;
addEventListener('unhandledrejection', event => faults.push(`nobody handled: ${event.reason?.stack ?? event.reason}`));
addEventListener('error', event => faults.push(`nobody caught: ${event.error?.stack ?? event.message}`));
document.addEventListener('securitypolicyviolation', event => {
  if (!violates) faults.push(`${event.violatedDirective} forbids ${event.blockedURI} in ${event.sourceFile}:${event.lineNumber}`);
});

async function ask(word, body = {}) {
  return (await fetch(`/driver/${word}`, { method: 'POST', body: JSON.stringify(body) })).json();
}

async function control(word, given = {}) {
  const { value, fault } = await ask('control', { word, with: given });
  if (fault !== undefined) throw new Error(fault);
  return value;
}

const files = new URL('/package/dist/', location.href);
for (;;) {
  const { run, world, variation, load, ...rest } = await ask('next', { load: location.search.slice(1) });
  violates = rest.violates;
  const failure = await runCase(run, { api, about: world, variation, load, control, faults, runtime: 'browser', files });
  await ask('result', { failure });
}
