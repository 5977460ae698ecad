// Endpoints that are not what the policy asks for, or not what they seem: each with its own reason, and none of them gets a byte.
import { equal, like, ok, rejects } from '../check.mjs';
import { bytes, sha256 } from '../world.mjs';

const ZERO = size => '00'.repeat(size);

/** A request that must not be made, and what is said of it. */
async function refused(api, world, fetch, expected, what) {
  const error = await rejects((async () => fetch(world.path('/tell'), { method: 'POST', body: 'secret' }))(), { is: api.AtlsError, ...expected }, what);
  equal((await world.note()).seen, [], `${what}: what the application saw`);
  return error;
}

/** One that asks for something else. */
const policies = {
  'mrtd': [p => { p.expected_bootchain.mrtd = ZERO(48); }, 'bootchain_mismatch', 501, /mrtd expected 0{96}/],
  'rtmr0': [p => { p.expected_bootchain.rtmr0 = ZERO(48); }, 'bootchain_mismatch', 501, /rtmr0 expected 0{96}/],
  'rtmr1': [p => { p.expected_bootchain.rtmr1 = ZERO(48); }, 'bootchain_mismatch', 501, /rtmr1 expected 0{96}/],
  'rtmr2': [p => { p.expected_bootchain.rtmr2 = ZERO(48); }, 'bootchain_mismatch', 501, /rtmr2 expected 0{96}/],
  'an image': [p => { p.os_image_hash = ZERO(32); }, 'os_image_hash_mismatch', 504, /OS image hash mismatch: expected 0{64}/],
  'an application': [p => { p.app_compose = { name: 'another' }; delete p.app_compose_hash; }, 'app_compose_hash_mismatch', 503, /app compose hash mismatch/],
  'the hash of an application': [p => { p.app_compose_hash = ZERO(32); delete p.app_compose; }, 'app_compose_hash_mismatch', 503, /expected 0{64}/],
  'a TCB status': [p => { p.allowed_tcb_status = ['OutOfDate']; }, 'tcb_status_not_allowed', 409, /TCB status UpToDate not allowed \(allowed: \["OutOfDate"\]\)/],
  'no TCB status at all': [p => { p.allowed_tcb_status = []; }, 'tcb_status_not_allowed', 409, /not allowed/],
  'a later edition': [p => { p.min_tcb_evaluation_data_number = 9999; }, 'tcb_evaluation_data_number', 413, /9999/],
};

/** One that is none. The place of the mistake is named. */
const malformed = {
  'a misspelt field': [p => { p.allowed_tcb_statuses = ['UpToDate']; }, /allowed_tcb_statuses/],
  'a status that is none': [p => { p.allowed_tcb_status = ['Uptodate']; }, /invalid TCB status 'Uptodate'/],
  'a type that is none': [p => { p.type = 'sev'; }, /type|sev/],
  'no type': [p => { delete p.type; }, /type/],
  'no application': [p => { delete p.app_compose; delete p.app_compose_hash; }, /app_compose must be provided/],
  'no image': [p => { delete p.os_image_hash; }, /expected_bootchain and os_image_hash must be provided together/],
  'hex that is none': [p => { p.os_image_hash = 'xyz'; }, /os_image_hash/],
  'hex that is too short': [p => { p.expected_bootchain.rtmr2 = 'ab'; }, /rtmr2/],
  'a grace period without OutOfDate': [p => { p.grace_period = 5; }, /grace_period requires allowed_tcb_status to include OutOfDate/],
  'a number as text': [p => { p.reattest_after = '5'; }, /reattest_after/],
  'a list as text': [p => { p.allowed_tcb_status = 'UpToDate'; }, /allowed_tcb_status/],
  'collateral over http from afar': [p => { p.pccs_url = 'http://pccs.example'; }, /pccs_url must be an https URL/],
};

/** Endpoints of their own. */
const strangers = {
  'a server that is no TEE': [{ kind: 'tls', answer: 'HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found' }, { category: 'attestation', message: /404/ }],
  'a server that likes everything': [{ kind: 'tls', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' }, { category: 'attestation', code: 'quote_answer' }],
  'a server that answers JSON': [{ kind: 'tls', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}' }, { category: 'attestation', code: 'quote_answer' }],
  'a server of an authority that nobody knows': [{ kind: 'tls', certificate: 'nobody' }, { category: 'handshake', code: 'tls_handshake', message: /TLS handshake failed/ }],
  'a certificate that is expired': [{ kind: 'tls', certificate: 'expired' }, { category: 'handshake', code: 'tls_handshake', message: /expired/ }],
  'a certificate for another name': [{ kind: 'tls', certificate: 'other-name' }, { category: 'handshake', code: 'tls_handshake', message: /mismatch|name/i }],
  'TLS 1.2': [{ kind: 'tls', version: '1.2' }, { category: 'handshake', code: 'tls_handshake' }],
  'a server without TLS': [{ kind: 'says', data: 'HTTP/1.1 400 Bad Request\r\n\r\n' }, { category: 'handshake', code: 'tls_handshake' }],
  'a relay with a stolen certificate': [{ kind: 'stolen' }, { category: 'attestation', code: 'report_data_mismatch', number: 700, message: /report data mismatch: expected [0-9a-f]{128}, got [0-9a-f]{128}\. Possible replay\/relay attack\./ }],
  'a quote for another session': [{ kind: 'tee', lie: { report_data: 'ab'.repeat(64) } }, { category: 'attestation', code: 'report_data_mismatch' }],
  'a quote that was cut': [{ kind: 'tee', lie: { quote: { quote: '0400020081' } } }, { category: 'attestation', code: 'quote_syntax' }],
  'a quote that is text': [{ kind: 'tee', lie: { quote: { quote: 'yes, of course' } } }, { category: 'attestation' }],
  'no quote': [{ kind: 'tee', lie: { members: { quote: null } } }, { category: 'attestation', code: 'quote_answer' }],
  'an event log of nothing': [{ kind: 'tee', lie: { quote: { event_log: '[]' } } }, { category: 'attestation' }],
  'an event log that is none': [{ kind: 'tee', lie: { quote: { event_log: 'x' } } }, { category: 'attestation', code: 'event_log_syntax' }],
  'a status that is no 200': [{ kind: 'tee', lie: { status: '500 No' } }, { category: 'attestation', code: /^(quote_answer|http_status)$/, message: /500/ }],
  'an answer behind the answer': [{ kind: 'tee', lie: { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret' } }, { category: 'attestation' }],
  'an answer that ends early': [{ kind: 'tee', lie: { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{}', stays: false } }, { category: /^(attestation|handshake|closed)$/ }],
  'no answer but an end': [{ kind: 'tee', lie: { raw: '', stays: false } }, { category: /^(attestation|handshake|closed)$/ }],
};

export const cases = [
  ...Object.entries(policies).map(([what, [change, code, number, message]]) => ({
    name: `a policy asks for another ${what}`,
    essential: what === 'mrtd',
    async run(api, world) {
      const { policy } = world;
      change(policy);
      const told = [];
      await refused(api, world, world.fetcher({ policy, onAttestation: summary => { told.push(summary); } }), { category: 'policy', code, number, message, retryable: false }, what);
      equal(told, [], 'onAttestation');
      equal(world.pool().total, 0, 'connections kept');
    },
  })),
  {
    name: 'policies that are none',
    essential: true,
    async run(api, world) {
      const begun = await world.control('tunnels_begun');
      for (const [what, [change, message]] of Object.entries(malformed)) {
        const { policy } = world;
        change(policy);
        const error = await refused(api, world, (...given) => world.fetcher({ policy })(...given), { category: 'policy', message, retryable: false }, what);
        ok(/invalid policy|configuration error/.test(error.message), error.message);
      }
      for (const policy of ['', 'null', '[]', '{"type":"dstack_tdx","type":"dstack_tdx"}', '{"type":"dstack_tdx"', 5, []]) {
        await rejects((async () => world.fetcher({ policy })(world.path('/tell')))(), { is: Error }, JSON.stringify(policy));
      }
      equal(await world.control('tunnels_begun') - begun, 0, 'connections: nothing is asked of anybody');
    },
  },
  {
    name: 'the root of the simulator without permission',
    essential: true,
    async run(api, world) {
      const { simulation, ...options } = world.options();
      ok(simulation, 'simulation');
      const begun = await world.control('tunnels_begun');
      await refused(api, world, (...given) => api.createAtlsFetch(options)(...given), { category: 'policy', message: /simulat/i }, 'no permission');
      await refused(api, world, (...given) => api.createAtlsFetch({ ...options, simulation: false })(...given), { category: 'policy', message: /simulat/i }, 'refused');
      equal(await world.control('tunnels_begun') - begun, 0, 'connections');
    },
  },
  {
    name: 'the simulator where Intel is asked for',
    essential: true,
    async run(api, world) {
      const { policy } = world;
      delete policy.trusted_roots;
      delete policy.allow_simulated;
      await refused(api, world, world.fetcher({ policy }), { category: 'attestation', code: /^(crl_signature|certificate_chain|trust_root)$/, retryable: false }, "Intel's root");
    },
  },
  ...Object.entries(strangers).map(([what, [how, expected]]) => ({
    name: what,
    essential: ['a server that is no TEE', 'a relay with a stolen certificate', 'a certificate for another name'].includes(what),
    async run(api, world) {
      const port = await world.control('stranger', how);
      const error = await refused(api, world, world.at(port), expected, what);
      if (expected.category !== 'handshake') equal(error.retryable, error.category !== 'attestation' && error.retryable);
      if (how.kind === 'tls' || how.kind === 'tee') {
        const { requests } = await world.control('stranger_requests', { port });
        equal(requests.filter(request => JSON.stringify(request).includes('secret')), [], 'what it got');
      }
      equal(world.pool().total, 0, 'connections kept');
    },
  })),
  {
    name: 'a certificate that is not in the event log',
    essential: true,
    async run(api, world) {
      const log = await world.control('quote', { certificate: await sha256(bytes('another')) });
      const port = await world.control('stranger', { kind: 'tee', lie: { quote: { event_log: log.event_log } } });
      const error = await refused(api, world, world.at(port), { category: 'attestation' }, 'another log');
      like(error, { code: /^(certificate_not_in_event_log|rtmr_mismatch)$/ });
    },
  },
  {
    name: 'a dev policy still wants a genuine quote',
    async run(api, world) {
      const { policy } = world;
      for (const name of ['expected_bootchain', 'app_compose', 'app_compose_hash', 'os_image_hash']) delete policy[name];
      policy.disable_runtime_verification = true;
      const answer = await world.fetcher({ policy })(world.path('/tell', '&good'));
      equal(answer.attestationReport().runtime_verified, false);
      const port = await world.control('stranger', { kind: 'tee', lie: { report_data: 'ab'.repeat(64) } });
      await rejects(world.at(port, { policy })('/x'), { is: api.AtlsError, code: 'report_data_mismatch' });
    },
  },
];
