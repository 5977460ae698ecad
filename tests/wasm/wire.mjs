// The WebAssembly module as the client of the servers that the unit tests play (tests/support/wire.h): honest ones and liars. What it
// comes to is held against what the native client came to with the same server, byte for byte.
//
//   node wire.mjs MODULE PROGRAM…      prints a line for each test of the programs: its verdicts, and what differs; status 1: something did
import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { load } from './module.mjs';

const HEAD = 5; // bytes before a frame's own
const SHOWN = 600; // characters of an answer that differs
const STEP = { READ: 0, COLLATERAL: 1, ATTESTED: 2, FAILED: 3 };
const STEPS = Object.keys(STEP);
const [file, ...programs] = process.argv.slice(2);
const { call, answer } = load(file);
const verifier = call('verifier_new');

// --- the client ---

const object = () => JSON.parse(String(answer()));
let stage = null; // { test, now_s, now_ms, step, error, policy, context, connection }

function leave() {
  if (!stage) return;
  call('connection_delete', stage.connection);
  call('context_delete', stage.context);
  call('policy_delete', stage.policy);
  stage = null;
}

function enter({ test, server_name, policy, roots, now_s, now_ms }) {
  leave();
  stage = { test, now_s, now_ms, step: STEP.READ, error: null, policy: 0, context: 0, connection: 0 };
  stage.policy = call('policy_new', policy);
  if (stage.policy) stage.context = call('context_new', stage.policy, roots, 0);
  if (stage.context) stage.connection = call('connection_new', stage.context, verifier, server_name, server_name);
  if (!stage.connection) [stage.step, stage.error] = [STEP.FAILED, object()];
}

function step(bytes, ends) {
  if (!stage.connection) return;
  if (bytes.length) call('connection_feed', stage.connection, bytes);
  if (ends) call('connection_feed_end', stage.connection);
  stage.step = call('connection_step', stage.connection, stage.now_s, stage.now_ms);
  stage.error = stage.step === STEP.FAILED ? object() : null;
}

function output() {
  const length = stage.connection && call('connection_output', stage.connection);
  if (!length) return Buffer.alloc(0);
  const bytes = answer();
  call('connection_sent', stage.connection, length);
  return bytes;
}

function give(json) {
  if (!call('connection_give_collateral', stage.connection, json)) throw new Error(String(answer()));
}

function found(name) {
  if (stage.step !== STEP.ATTESTED) return null;
  if (!call(name, stage.connection)) throw new Error(`${name}: ${answer()}`);
  return answer();
}

// --- comparing ---

// Report data are of one session; nothing else has 64 bytes in hex.
const ofAnySession = value => JSON.stringify(value)?.replace(/\b[0-9a-f]{128}\b/g, '(64 bytes)');
const shown = value => String(value).slice(0, SHOWN);

function differences(native) {
  const report = found('connection_report'), differ = [];
  const compare = (what, one, other) => {
    if (one !== other) differ.push(`${what}\n  native: ${shown(one)}\n  module: ${shown(other)}`);
  };
  compare('the step', STEPS[native.step], STEPS[stage.step]);
  compare('the error', ofAnySession(native.error), ofAnySession(stage.error));
  compare('the report', ofAnySession(native.report), ofAnySession(report && JSON.parse(String(report))));
  return differ;
}

// --- playing ---

function frame(letter, ...pieces) {
  const length = pieces.reduce((n, piece) => n + piece.length, 0), head = Buffer.alloc(HEAD);
  head.write(letter, 'latin1');
  head.writeUInt32LE(length, 1);
  return Buffer.concat([head, ...pieces.map(piece => Buffer.from(piece))]);
}

// The answer to one frame. tests: what was found so far, by test.
function reply(tests, letter, bytes) {
  switch (letter) {
    case 'O': enter(JSON.parse(String(bytes))); return frame('A', [STEP.READ]);
    case 'C': give(bytes); return frame('A', [STEP.READ]);
    case 'G': call('connection_reattest', stage.connection); return frame('A', [STEP.READ]);
    case 'S': case 'E': step(bytes, letter === 'E'); return frame('A', [stage.step], output());
    case 'V': {
      const test = tests.get(stage.test) ?? { verdicts: 0, differ: [] };
      tests.set(stage.test, test);
      test.verdicts++;
      test.differ.push(...differences(JSON.parse(String(bytes))).map(text => `verdict ${test.verdicts}: ${text}`));
      return frame('R', found('connection_receipt') ?? []);
    }
    default: throw new Error(`a frame ${letter}`);
  }
}

// Runs one program; resolves to its tests, and what it said if it failed itself.
function play(program) {
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, POSTERN_WIRE: '3' } });
  const wire = child.stdio[3], tests = new Map();
  let waiting = Buffer.alloc(0), said = '';

  for (const stream of [child.stdout, child.stderr]) stream.on('data', text => { said += text; });
  wire.on('error', () => {}); // its status tells
  wire.on('data', bytes => {
    waiting = Buffer.concat([waiting, bytes]);
    while (waiting.length >= HEAD && waiting.length >= HEAD + waiting.readUInt32LE(1)) {
      const end = HEAD + waiting.readUInt32LE(1);
      wire.write(reply(tests, String.fromCharCode(waiting[0]), waiting.subarray(HEAD, end)));
      waiting = waiting.subarray(end);
    }
  });
  return new Promise(resolve => child.on('close', status => { leave(); resolve({ tests, failed: status === 0 ? '' : said }); }));
}

let bad = 0;
for (const program of programs) {
  const { tests, failed } = await play(program), name = basename(program);

  for (const [test, { verdicts, differ }] of tests) {
    if (differ.length) bad++;
    console.log(`${differ.length ? 'FAILED' : 'ok'} ${name} ${test} ${verdicts}`);
    differ.slice(0, 3).forEach(text => console.log(text.replace(/^/gm, '    ')));
  }
  if (failed || !tests.size) {
    bad++;
    console.log(`FAILED ${name} itself 0\n${failed.slice(-4000).replace(/^/gm, '    ')}`);
  }
}
process.exitCode = bad ? 1 : 0;
