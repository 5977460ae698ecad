// Errors: their categories, and what is said of a bridge that is not there.
import assert from 'node:assert/strict';
import test from 'node:test';
import { AtlsError, categoryOf, fromModule } from '../dist/errors.js';
import { closedMidway, notConnected, targetClosed } from '../dist/ending.js';

for (const [number, attesting, exchange] of [
  [101, 'attestation', 'response'], // http_response
  [102, 'attestation', 'response'], // http_status
  [103, 'timeout', 'timeout'],
  [104, 'collateral', 'collateral'],
  [105, 'handshake', 'closed'], // connection_closed
  [200, 'handshake', 'closed'],
  [201, 'handshake', 'closed'],
  [300, 'attestation', 'attestation'],
  [351, 'attestation', 'attestation'],
  [401, 'attestation', 'attestation'], // tcb_info_time
  [408, 'attestation', 'attestation'], // tcb_revoked
  [409, 'policy', 'policy'], // tcb_status_not_allowed
  [410, 'policy', 'policy'],
  [411, 'policy', 'policy'],
  [413, 'policy', 'policy'],
  [414, 'attestation', 'attestation'], // tcb_rollback
  [501, 'policy', 'policy'],
  [504, 'policy', 'policy'],
  [600, 'attestation', 'attestation'],
  [700, 'attestation', 'attestation'], // report_data_mismatch
  [702, 'policy', 'policy'], // quote_too_old
  [800, 'policy', 'policy'],
  [900, 'internal', 'internal'],
  [1000, 'attestation', 'attestation'],
]) {
  test(`number ${number} is ${attesting}`, () => {
    assert.equal(categoryOf(number, 'attesting'), attesting);
    assert.equal(categoryOf(number, 'exchange'), exchange);
  });
}

test("the module's own errors keep their words", () => {
  const error = fromModule({ class: 'measurement', code: 'rtmr_mismatch', number: 502, message: 'RTMR3 mismatch: expected a, got b', retryable: false }, 'attesting');
  assert.ok(error instanceof AtlsError && error instanceof Error);
  assert.equal(String(error), 'AtlsError: RTMR3 mismatch: expected a, got b');
  assert.deepEqual([error.code, error.number, error.category, error.retryable], ['rtmr_mismatch', 502, 'policy', false]);
});

const url = 'wss://proxy.example.com/?target=tee.example.com%3A443&token=secret';

test('a bridge that refuses is quoted, and explained', () => {
  const error = notConnected(url, { code: 1008, reason: 'target-not-allowed' }, true);
  assert.equal(error.code, 'proxy_refused');
  assert.match(error.message, /code 1008 target-not-allowed: the target is not on the proxy's allowlist/);
  assert.equal(error.retryable, false);
});

test('refusals by status are told, too', () => {
  const error = notConnected(url, { code: 1006, reason: 'overloaded', status: 503 }, false);
  assert.match(error.message, /status 503 overloaded/);
  assert.equal(error.retryable, true);
});

test('a bridge that is not there: what to look at', () => {
  const error = notConnected(url, { code: 1006, reason: '', cause: new Error('ECONNREFUSED') }, false);
  assert.deepEqual([error.category, error.code, error.retryable], ['proxy_connection', 'proxy_unreachable', true]);
  assert.match(error.message, /ECONNREFUSED.*is the proxy running.*connect-src/);
});

test('no error repeats what may be a secret in the URL', () => {
  for (const opened of [true, false]) assert.doesNotMatch(notConnected(url, { code: 1006, reason: '' }, opened).message, /secret/);
});

test('who ended it', () => {
  assert.equal(targetClosed({ code: 1000, reason: 'target-closed' }), true);
  assert.equal(targetClosed({ code: 1001, reason: 'draining' }), false);
  assert.match(closedMidway({ code: 1001, reason: 'draining' }).message, /the proxy ended it, code 1001 draining: the proxy is shutting down/);
  assert.equal(closedMidway({ code: 1000, reason: 'target-closed' }).category, 'closed');
});
