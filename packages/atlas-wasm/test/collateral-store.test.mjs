// Where collateral is kept, when there is no IndexedDB: Node.js.
import assert from 'node:assert/strict';
import test from 'node:test';
import { collateralStore } from '../dist/collateral-store.js';

const kept = { json: '{}', expires: 2, fetched: 1 };

test('memory keeps, and forgets', async () => {
  for (const kind of [undefined, 'indexeddb', 'memory']) {
    const store = collateralStore(kind);
    assert.equal(await store.get('k'), undefined);
    await store.put('k', kept);
    assert.equal(await store.get('k'), kept);
    await store.forget('k');
  }
});

test('"none" keeps nothing', async () => {
  const store = collateralStore('none');
  await store.put('k', kept);
  assert.equal(await store.get('k'), undefined);
});
