// Opens the demo page in Chromium as a person would, does all that it offers, and prints what was seen, as JSON.
//
//   node demo-page.mjs '{"url": …, "shots": FOLDER}'      shots: where to leave pictures, at two widths and in both schemes; or none
//
// Seen: faults (console errors, exceptions, violations of the page's policy), foreign (requests to other origins), what the page
// says after each step, and whether anything is wider than the window.
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { launch } from './launch.mjs';

const job = JSON.parse(process.argv[2]);
const PATIENCE = { timeout: 60_000 };
const QUESTION = 'Is anybody listening?';

const browser = await chromium.launch(launch);

function listen(tab, seen) {
  const { host } = new URL(job.url);
  tab.on('console', message => { if (message.type() === 'error' || message.type() === 'warning') seen.faults.push(message.text()); });
  tab.on('pageerror', error => seen.faults.push(error.message));
  tab.on('request', request => { if (new URL(request.url()).host !== host && !request.url().startsWith('blob:')) seen.foreign.push(request.url()); });
}

async function picture(tab, name) {
  if (job.shots) await tab.screenshot({ path: path.join(job.shots, `${name}.png`), fullPage: true });
}

const wider = tab => tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

async function everything(tab, name) {
  const seen = { faults: [], foreign: [] };
  listen(tab, seen);
  await tab.goto(job.url);
  await tab.locator('#connect:enabled').waitFor(PATIENCE);
  seen.mute = await tab.locator('#message').isDisabled();
  await picture(tab, `${name}-before`);

  await tab.click('#connect');
  await tab.locator('#verdict > .passed, #verdict > .failed').waitFor(PATIENCE);
  seen.verdict = await tab.locator('#verdict').innerText();
  seen.marks = await tab.locator('#ledger .mark-word').allInnerTexts();
  seen.state = await tab.locator('#state').innerText();

  // By keyboard alone.
  await tab.locator('#message').focus();
  await tab.keyboard.type(QUESTION);
  await tab.keyboard.press('Enter');
  await tab.waitForFunction(() => document.querySelector('.said .meta')?.textContent !== undefined &&
    document.querySelector('.said .meta').textContent !== '', null, PATIENCE);
  seen.answer = await tab.locator('.said .words').innerText();
  seen.meta = await tab.locator('.said .meta').innerText();
  seen.wire = await tab.locator('#dump').innerText();
  seen.carried = await tab.locator('#carried').innerText();

  await tab.click('#try-all');
  await tab.locator('#try-all:enabled').waitFor(PATIENCE);
  seen.tally = await tab.locator('#tally').innerText();
  seen.visits = await tab.locator('.visit').evaluateAll(all => Object.fromEntries(all.map(one =>
    [one.id.replace('visit-', ''), { head: one.querySelector('.head')?.textContent, code: one.querySelector('.code code')?.textContent,
      where: one.querySelector('.where')?.textContent }])));

  const waiting = tab.waitForEvent('download');
  await tab.getByRole('button', { name: 'Download the receipt' }).click();
  seen.receipt = fs.readFileSync(await (await waiting).path(), 'utf8');
  await tab.getByRole('button', { name: 'Verify the receipt again' }).click();
  seen.again = await tab.locator('#report [role=status]').innerText();
  seen.wider = await wider(tab);
  await picture(tab, `${name}-after`);
  return seen;
}

try {
  const seen = {};
  for (const [size, width, height] of [['desktop', 1280, 900], ['phone', 390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
      const name = `${size}-${colorScheme}`;
      seen[name] = await everything(await context.newPage(), name);
      await context.close();
    }
  }
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
