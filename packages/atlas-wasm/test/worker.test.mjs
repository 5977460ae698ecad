// A worker's code, where it is one and where it is not.
import assert from 'node:assert/strict';
import test from 'node:test';

function globals(t, given) {
  for (const [name, value] of Object.entries(given)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
}

test('in a page it listens to nobody', async t => {
  const window = { postMessage() {} };
  globals(t, { self: window, window, document: {} });
  await assert.rejects(import('../dist/worker.js?page'), /this is a worker's code/);
  assert.equal(window.onmessage, undefined);
});

test('in a worker it listens', async t => {
  class WorkerGlobalScope { postMessage() {} }
  const self = new WorkerGlobalScope();
  globals(t, { self, WorkerGlobalScope });
  await import('../dist/worker.js?worker');
  assert.equal(typeof self.onmessage, 'function');
});
