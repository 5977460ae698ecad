// Collateral that several want at once.
import assert from 'node:assert/strict';
import test from 'node:test';
import { getCollateral } from '../dist/collateral.js';

const need = { anew: false, tee: 'tdx', fmspc: '00', ca: 'platform', requests: {} };
const engine = { lending: use => use(() => [0, 0]), exports: { collateral_about: () => 1 }, answerJson: () => ({ expires: 1e12 }) };
const ask = (fetch, timeoutMs) => getCollateral(engine, need, '', { bundleUrl: 'https://pccs.example.com/b', cache: 'none', fetch }, timeoutMs);

test('those who ask in the same way ask once, others for themselves', async () => {
  let asked = 0;
  const mine = async () => { asked++; return new Response('mine'); };
  const theirs = async () => { throw new Error('theirs fails'); };
  const [a, b, c] = await Promise.allSettled([ask(mine), ask(mine), ask(theirs)]);
  assert.deepEqual([a.value.json, b.value.json], ['mine', 'mine']);
  assert.match(c.reason.message, /theirs fails/);
  assert.equal(asked, 1);
  await Promise.all([ask(mine, 50), ask(mine, 60)]);
  assert.equal(asked, 3);
});
