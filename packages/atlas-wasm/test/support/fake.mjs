// A module that only moves bytes ("ciphertext" is plaintext), and a transport in the test's hands.
import { reattestDueError } from '../../dist/errors.js';
import { ROOM } from '../../dist/module.js';
import { Pipe } from '../../dist/pipe.js';

export const BROKEN = { class: 'io', code: 'connection_closed', number: 105, message: 'I/O error: closed', retryable: true };

/** What was fed comes out of read; the end of feeding is "the end" when whole, else broken. */
export function fakeEngine({ whole = true } = {}) {
  const memory = new Uint8Array(2 * ROOM);
  let fed = Buffer.alloc(0);
  const log = [];
  let ended = false;
  let output = [];
  const engine = {
    verifier: 1,
    broken: undefined,
    out: ROOM,
    get fed() { return fed; },
    log,
    say: bytes => output.push(...bytes),
    put(bytes) { memory.set(bytes, 0); return 0; },
    view: (at, len) => memory.subarray(at, at + len),
    failure: () => Object.assign(new Error(BROKEN.message), { category: 'closed' }),
    check: result => result,
    lending: use => use(() => [0, 0]),
    answerJson: () => ({ status: 200, reason: 'OK', fields: [] }),
    exports: {
      connection_feed(_, at, len) { log.push(len); fed = Buffer.concat([fed, memory.subarray(at, at + len)]); },
      connection_feed_end() { ended = true; log.push('end'); },
      connection_output() { memory.set(output, 0); return output.length; },
      answer_at: () => 0,
      connection_sent(_, n) { output = output.slice(n); },
      connection_delete() { log.push('deleted'); },
      connection_close() { log.push('close'); },
      connection_quiet: () => (ended ? 0 : 1),
      request_begin() { log.push('begin'); return 1; },
      request_body(_, at, len) { log.push('body'); return 1; },
      request_end() { log.push('end of request'); output.push(1); return 1; },
      response_head: () => (fed.length ? 1 : ended ? -2 : 0),
      response_begun: () => (fed.length ? 1 : 0),
      response_keeps: () => 1,
      response_read: (c, at, room) => engine.read(c, at, room) || -1,
    },
    read(_, at, room) {
      const some = fed.subarray(0, room);
      fed = fed.subarray(room);
      memory.set(some, at);
      if (some.length) return some.length;
      if (!ended) return 0;
      return whole ? -1 : -2;
    },
  };
  return engine;
}

export function fakeTransport({ pausable = true } = {}) {
  const seen = { sent: [], paused: false, pauses: 0, closed: false, events: undefined };
  seen.open = (_, events) => {
    seen.events = events;
    return {
      pausable,
      send: bytes => seen.sent.push(...bytes),
      drained: () => undefined,
      pause() { seen.paused = true; seen.pauses++; },
      resume() { seen.paused = false; },
      hold() {},
      close() { seen.closed = true; },
    };
  };
  return seen;
}

/** As connect() makes one; attested: how often it was. Its due, and what reattest does, are the test's. */
export function fakeConnection(options = {}) {
  const engine = fakeEngine(options);
  const wire = fakeTransport(options);
  const pipe = new Pipe(engine, 7, 'ws://localhost/', wire.open);
  wire.events.open();
  const connection = {
    pipe, proof: { number: 1 }, attestedAt: performance.now(), due: Infinity, attested: 1,
    checkFresh() { if (performance.now() >= connection.due) throw reattestDueError(); },
    async reattest() {
      connection.attested++;
      connection.proof = { number: connection.attested };
      connection.due = Infinity;
    },
  };
  return { engine, wire, connection };
}
