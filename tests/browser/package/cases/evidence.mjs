// Offline: verifyQuote, receipts, inspectQuote, manifests. Beside the command, which has the same engines.
import { equal, like, ok, throws } from '../check.mjs';
import { bytes, hex, sha256 } from '../world.mjs';

const flipped = (text, at) => text.slice(0, at) + ((parseInt(text[at], 16) ^ 1).toString(16)) + text.slice(at + 1);
const fromHex = text => Uint8Array.from(text.match(/../g), pair => parseInt(pair, 16));

/** A quote with everything that goes with it, as verifyQuote takes it. */
async function evidenceOf(world, more = {}) {
  const leaf = await sha256(bytes('a certificate'));
  const made = await world.control('quote', { report_data: 'ab'.repeat(64), certificate: leaf, ...more });
  return { quote: made.quote, eventLog: made.event_log, collateral: made.collateral, policy: world.policy, leafSha256: leaf, reportData: 'ab'.repeat(64), simulation: true };
}

const SCRIPT = '#!/bin/sh\necho the script that a manifest begins with\n';

export const cases = [
  {
    name: 'a good quote gives the report that the command gives',
    worker: false,
    async run(api, world) {
      await api.init();
      const evidence = await evidenceOf(world);
      const at = new Date();
      const report = api.verifyQuote({ ...evidence, at });
      like(report, { tee: 'TDX', status: 'UpToDate', simulated: true, trust_root: 'custom', runtime_verified: true }, 'the report');
      const native = await world.control('native', {
        words: ['verify', '@quote', '--collateral', '@collateral', '--event-log', '@log', '--policy', '@policy', '--report-data', evidence.reportData,
          '--certificate-sha256', evidence.leafSha256, '--at', `${at.toISOString().slice(0, 19)}Z`, '--json'],
        files: { quote: evidence.quote, collateral: JSON.stringify(evidence.collateral), log: evidence.eventLog, policy: JSON.stringify(evidence.policy) },
      });
      equal(native.status, 0, native.err);
      equal(report, JSON.parse(native.out).report, 'the report');
    },
  },
  {
    name: 'evidence comes in several forms',
    worker: false,
    async run(api, world) {
      await api.init();
      for (const version of [4, 5]) {
        const evidence = await evidenceOf(world, { version });
        const report = JSON.stringify({ ...api.verifyQuote({ ...evidence, at: 1e3 * Math.floor(Date.now() / 1e3) }), verified_at: '' });
        for (const other of [
          { quote: fromHex(evidence.quote) }, { quote: evidence.quote.toUpperCase() }, { collateral: JSON.stringify(evidence.collateral) }, { policy: JSON.stringify(evidence.policy) },
          { leafSha256: fromHex(evidence.leafSha256) }, { reportData: fromHex(evidence.reportData) },
        ]) equal(JSON.stringify({ ...api.verifyQuote({ ...evidence, ...other }), verified_at: '' }), report, Object.keys(other)[0]);
        // Less is asked, less is told.
        const { policy, leafSha256, reportData, eventLog, ...least } = evidence;
        ok(policy && leafSha256 && reportData && eventLog, 'all of it');
        throws(() => api.verifyQuote(least), { is: api.AtlsError, code: /^(crl_signature|trust_root)$/ }, 'without a policy nobody but Intel is trusted');
      }
    },
  },
  {
    name: 'bad evidence is refused for its reason',
    worker: false,
    async run(api, world) {
      await api.init();
      const good = await evidenceOf(world);
      const other = JSON.parse(good.eventLog);
      const policy = change => { const one = world.policy; change(one); return one; };
      const wrong = [
        [{ reportData: 'cd'.repeat(64) }, 'report_data_mismatch', 'attestation'],
        [{ leafSha256: 'cd'.repeat(32) }, 'certificate_not_in_event_log', 'attestation'],
        [{ quote: flipped(good.quote, 2 * 200) }, 'quote_signature', 'attestation'],
        [{ quote: good.quote.slice(0, 200) }, 'quote_syntax', 'attestation'],
        [{ quote: '' }, 'quote_syntax', 'attestation'],
        [{ eventLog: JSON.stringify(other.slice(0, -1)) }, 'certificate_not_in_event_log', 'attestation'],
        [{ eventLog: JSON.stringify([...other.slice(0, 2), ...other.slice(3)]) }, /^(rtmr_mismatch|quote_syntax|event_)/, /policy|attestation/],
        [{ eventLog: 'no log' }, 'event_log_syntax', 'attestation'],
        [{ collateral: { ...good.collateral, tcb_info: good.collateral.tcb_info.replace('UpToDate', 'OutOfDate') } }, 'tcb_info_signature', 'attestation'],
        [{ collateral: { ...good.collateral, qe_identity: good.collateral.qe_identity.replace('"isvprodid":', '"isvprodid": ') } }, 'qe_identity_signature', 'attestation'],
        [{ collateral: { ...good.collateral, pck_crl: flipped(good.collateral.pck_crl, good.collateral.pck_crl.length - 9) } }, 'crl_signature', 'attestation'],
        [{ collateral: {} }, 'collateral_syntax', 'attestation'],
        [{ policy: policy(p => { p.os_image_hash = '00'.repeat(32); }) }, 'os_image_hash_mismatch', 'policy'],
        [{ policy: policy(p => { delete p.trusted_roots; delete p.allow_simulated; }) }, /^(crl_signature|trust_root|certificate_chain)$/, /attestation|policy/],
        [{ policy: policy(p => { p.mistake = 1; }) }, 'policy', 'policy'],
        [{ at: new Date('2041-01-01') }, /_time$/, 'attestation'],
        [{ at: new Date('2001-01-01') }, /^clock$/, 'attestation'],
      ];
      for (const [change, code, category] of wrong) {
        like(throws(() => api.verifyQuote({ ...good, ...change }), { is: api.AtlsError }, JSON.stringify(change).slice(0, 200)), { code: typeof code === 'string' ? new RegExp(`^${code}$`) : code, category }, Object.keys(change)[0]);
      }
      for (const nonsense of [{ quote: 'xyz' }, { leafSha256: 'ab' }, { reportData: 'ab' }, { at: 'tomorrow' }, { at: new Date('x') }, { quote: 5 }]) {
        throws(() => api.verifyQuote({ ...good, ...nonsense }), { is: Error }, JSON.stringify(nonsense));
      }
    },
  },
  {
    name: 'a policy for the simulator needs a word in code',
    worker: false,
    async run(api, world) {
      await api.init();
      const { simulation, ...evidence } = await evidenceOf(world);
      ok(simulation, 'simulation');
      throws(() => api.verifyQuote(evidence), { is: api.AtlsError, category: 'policy', message: /simulat/i });
    },
  },
  {
    name: 'a quote is shown without being verified',
    worker: false,
    async run(api, world) {
      await api.init();
      for (const version of [4, 5]) {
        const { quote } = await evidenceOf(world, { version });
        const shown = api.inspectQuote(quote);
        equal(shown, api.inspectQuote(fromHex(quote)), 'from bytes');
        const native = await world.control('native', { words: ['inspect', '@quote', '--json'], files: { quote } });
        equal(native.status, 0, native.err);
        equal(shown, JSON.parse(native.out), `version ${version}`);
        equal(api.inspectQuote(flipped(quote, 2 * 200)).version, version, 'a bad signature is shown, too');
      }
      for (const wrong of ['', '00', new Uint8Array(0), new Uint8Array(10_000)]) throws(() => api.inspectQuote(wrong), { is: api.AtlsError, code: /^quote_/ });
    },
  },
  {
    name: 'a receipt is proof for others',
    worker: false,
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/tell'));
      const receipt = answer.receipt();
      const told = api.verifyReceipt(receipt, { policy: world.policy, simulation: true });
      equal(api.verifyReceipt(JSON.parse(receipt), { policy: world.policy, simulation: true }), told, 'an object');
      const native = await world.control('native', { words: ['receipt', 'verify', '@receipt', '--policy', '@policy', '--json'], files: { receipt, policy: JSON.stringify(world.policy) } });
      equal(native.status, 0, native.out + native.err);
      equal(told, JSON.parse(native.out).report, 'what it proves');
      equal(told.compose_hash, answer.attestationReport().compose_hash);
      await answer.text();
    },
  },
  {
    name: 'an edited receipt is refused',
    worker: false,
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/tell'));
      const good = JSON.parse(answer.receipt());
      await answer.text();
      const how = { policy: world.policy, simulation: true };
      const edited = change => { const one = structuredClone(good); change(one); return one; };
      for (const [change, code] of [
        [one => { one.summary.status = 'OutOfDate'; }, 'receipt_field'],
        [one => { one.session.server_name = 'bank.example'; }, /receipt_(field|digest)/],
        [one => { one.session.nonce = '00'.repeat(32); }, 'receipt_digest'],
        [one => { one.receipt = 'postern-attestation/9'; }, 'receipt_syntax'],
        [one => { one.evidence.quote = flipped(one.evidence.quote, 400); }, /./],
        [one => { one.session.report_data = '00'.repeat(64); }, 'report_data_mismatch'],
      ]) throws(() => api.verifyReceipt(edited(change), how), { is: api.AtlsError, code: typeof code === 'string' ? new RegExp(`^${code}$`) : code }, String(change));
      const other = world.policy;
      other.os_image_hash = '00'.repeat(32);
      throws(() => api.verifyReceipt(good, { ...how, policy: other }), { is: api.AtlsError, code: 'os_image_hash_mismatch', category: 'policy' });
      throws(() => api.verifyReceipt(good, { ...how, at: new Date('2041-01-01') }), { is: api.AtlsError, code: /_time$/ });
      throws(() => api.verifyReceipt(good), { is: api.AtlsError }, 'a root of its own counts for nobody who did not name it');
      for (const nonsense of ['', '{}', '[]', 'x']) throws(() => api.verifyReceipt(nonsense, how), { is: api.AtlsError, code: 'receipt_syntax' }, nonsense);
    },
  },
  {
    name: 'manifests are merged in order and hashed',
    worker: false,
    async run(api, world) {
      await api.init();
      const merged = api.mergeWithDefaultAppCompose({ name: 'mine', runner: 'docker-compose', extra: { b: 1, a: [2, null, 'ü'] }, pre_launch_script: SCRIPT });
      equal(Object.keys(merged), ['allowed_envs', 'docker_compose_file', 'features', 'gateway_enabled', 'kms_enabled', 'local_key_provider_enabled', 'manifest_version', 'name',
        'no_instance_id', 'pre_launch_script', 'public_logs', 'public_sysinfo', 'public_tcbinfo', 'runner', 'secure_time', 'storage_fs', 'tproxy_enabled', 'extra'].filter(name => name in merged), 'order');
      like(merged, { name: 'mine', docker_compose_file: '', manifest_version: 2, gateway_enabled: true, secure_time: false, storage_fs: 'zfs', pre_launch_script: SCRIPT });
      equal(merged.features, ['kms', 'tproxy-net']);
      equal(merged.extra, { b: 1, a: [2, null, 'ü'] });
      equal(api.appComposeHash(merged), await sha256(bytes(JSON.stringify(merged))), 'the hash of the canonical text');
      equal(api.appComposeHash(JSON.stringify(merged)), api.appComposeHash(merged), 'of text');
      equal(Object.keys(api.mergeWithDefaultAppCompose({ z: 1, a: 2 }, { m: 1, a: 1, pre_launch_script: '' })), ['m', 'a', 'pre_launch_script', 'z'], "a caller's defaults");
      throws(() => api.mergeWithDefaultAppCompose({ name: 'x' }), { is: Error, message: /^invalid app_compose: .*pre_launch_script/ });
      for (const wrong of [null, 5, 'text', [], undefined]) throws(() => api.mergeWithDefaultAppCompose(wrong), { is: Error, message: /^invalid app_compose: / }, String(wrong));
      throws(() => api.mergeWithDefaultAppCompose({ pre_launch_script: '', n: 1n }), { is: Error, message: /app_compose/ });
      const loop = { pre_launch_script: '' };
      loop.self = loop;
      throws(() => api.mergeWithDefaultAppCompose(loop), { is: Error, message: /app_compose/ });
    },
  },
  {
    name: 'the hash of a manifest is that of the report',
    worker: false,
    async run(api, world) {
      const answer = await world.fetcher()(world.path('/tell'));
      const { compose_hash } = answer.attestationReport();
      await answer.text();
      const { app_compose } = world.policy;
      equal(typeof app_compose === 'string' ? await sha256(bytes(app_compose)) : api.appComposeHash(app_compose), compose_hash);
    },
  },
  {
    name: 'nonsense is no crash',
    worker: false,
    async run(api, world) {
      await api.init();
      const good = await evidenceOf(world);
      const quote = fromHex(good.quote);
      // Every place of the head, and some behind it: an error each time, and the module lives on.
      for (let at = 0; at < quote.length; at += at < 64 ? 1 : 61) {
        const bad = quote.slice();
        bad[at] ^= 0x80;
        try {
          api.verifyQuote({ ...good, quote: bad });
          // What nobody signed may be anything: the end of the data.
          ok(at > 600, `byte ${at} of the quote counts for nothing`);
        } catch (error) {
          like(error, { is: api.AtlsError, category: /attestation|policy/ }, `byte ${at}`);
        }
      }
      for (let length = 0; length < quote.length - 500; length += 97) throws(() => api.verifyQuote({ ...good, quote: quote.slice(0, length) }), { is: api.AtlsError, category: 'attestation' }, `${length} bytes`);
      equal(api.verifyQuote(good).status, 'UpToDate');
      equal(hex(quote.slice(0, 2)), '0400');
    },
  },
];
