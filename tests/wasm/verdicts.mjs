// Asks the WebAssembly module what the native library was asked (tests/support/verdicts.h), and holds its answers, byte for byte,
// against those that the library gave.
//
//   node verdicts.mjs MODULE BOOK…      prints a line for each test of the books: its questions, and what differs; status 1: something did
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Fixed, load } from './module.mjs';

const SHOWN = 600; // characters of an answer that differs
const [file, ...books] = process.argv.slice(2);
const { call, answer } = load(file);
const verifier = call('verifier_new');

// --- reading ---

// Each question of a book: its line, with the pieces as bytes.
function* questions(book) {
  const bytes = readFileSync(book), bases = new Map();

  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at), line = JSON.parse(bytes.toString('utf8', at, end)), pieces = {};

    at = end + 1;
    for (const [name, [keep, skip, length]] of Object.entries(line.pieces)) {
      const put = bytes.subarray(at, at + length), base = bases.get(name) ?? Buffer.alloc(0);

      at += length;
      if (skip < 0) bases.set(name, put);
      pieces[name] = skip < 0 ? put : Buffer.concat([base.subarray(0, keep), put, base.subarray(keep + skip)]);
    }
    if (bytes[at++] !== 10) throw new Error(`${book}: a piece is longer or shorter than it says`);
    yield { ...line, pieces };
  }
}

// --- asking ---

const said = good => ({ good: !!good, text: answer() });

// A policy for the time of one question; the last one is kept, because the next question often has the same.
let kept = { text: null, handle: 0, refusal: null };
function policyOf(text) {
  if (!kept.text?.equals(text)) {
    call('policy_delete', kept.handle);
    const handle = call('policy_new', text);
    kept = { text: Buffer.from(text), handle, refusal: handle ? null : said(false) };
  }
  return kept;
}

const ask = {
  evidence({ pieces, now }) {
    const policy = pieces.policy ? policyOf(pieces.policy) : { handle: 0, refusal: null };

    return policy.refusal ?? said(call('evidence_verify', verifier, policy.handle, pieces.quote, pieces.log ?? '', pieces.collateral,
      new Fixed(pieces.leaf), new Fixed(pieces.report_data), now));
  },
  receipt({ pieces, now }) {
    const policy = pieces.policy ? policyOf(pieces.policy) : { handle: 0, refusal: null };

    return policy.refusal ?? said(call('receipt_check', policy.handle, pieces.receipt, now));
  },
  policy({ pieces }) {
    const policy = policyOf(pieces.policy);

    if (policy.refusal) return policy.refusal;
    call('policy_about', policy.handle);
    const { digest, pccs_url, reattest_after } = JSON.parse(String(answer()));
    return { good: true, text: Buffer.from(JSON.stringify({ digest, pccs_url, reattest_after })) };
  },
  compose: ({ pieces }) => said(call('compose_digest', pieces.manifest)),
  merge: ({ pieces }) => said(call('compose_merge_texts', pieces.defaults, pieces.manifest)),
};

// What differs from the book; empty: nothing.
function differences(question) {
  const { pieces, good } = question, found = [];
  const compare = (what, native, module) => {
    if (!native.equals(module)) found.push(`${what}\n  native: ${String(native).slice(0, SHOWN)}\n  module: ${String(module).slice(0, SHOWN)}`);
  };
  if (pieces.about) {
    call('quote_about', pieces.quote);
    compare('what the quote says', pieces.about, answer());
  }
  const { good: passed, text } = ask[question.ask](question);
  if (passed !== good) found.push(`native ${good ? 'accepts' : 'refuses'}, and the module ${passed ? 'accepts' : 'refuses'}`);
  compare('the answer', pieces.verdict, text);
  return found;
}

// --- telling ---

let bad = 0;
for (const book of books) {
  const tests = new Map();

  for (const question of questions(book)) {
    const test = tests.get(question.test) ?? { asked: 0, found: [] };
    tests.set(question.test, test);
    test.found.push(...differences(question).map(text => `question ${test.asked}: ${text}`));
    test.asked++;
  }
  for (const [name, { asked, found }] of tests) {
    if (found.length) bad++;
    console.log(`${found.length ? 'FAILED' : 'ok'} ${basename(book)} ${name} ${asked}`);
    found.slice(0, 3).forEach(text => console.log(text.replace(/^/gm, '    ')));
  }
}
process.exitCode = bad ? 1 : 0;
