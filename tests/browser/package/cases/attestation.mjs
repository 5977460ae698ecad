// What is said about the attestation: to onAttestation, on the response, by warmup().
import { equal, like, ok, rejects, settled, throws, until } from '../check.mjs';

const four = summary => ({ trusted: summary.trusted, teeType: summary.teeType, tcbStatus: summary.tcbStatus, advisoryIds: summary.advisoryIds });

export const cases = [
  {
    name: 'is told once for each connection and awaited',
    essential: true,
    async run(api, world) {
      const told = [];
      let proceed;
      const permission = new Promise(resolve => { proceed = resolve; });
      const fetch = world.fetcher({
        async onAttestation(summary, evidence) {
          told.push({ summary, report: evidence.report(), receipt: evidence.receipt() });
          await permission;
        },
      });
      const answer = fetch(world.path('/tell'));
      await until(() => told.length === 1, 'onAttestation was called');
      ok(!await settled(answer), 'the request waits for it');
      equal((await world.note()).seen, [], 'what the application has seen');
      proceed();
      equal((await (await answer).json()).method, 'GET');
      for (let n = 0; n < 3; n++) await (await fetch(world.path('/tell'))).text();
      equal(told.length, 1, 'calls for one connection');
      const [{ summary, report, receipt }] = told;
      equal(four(summary), { trusted: true, teeType: 'Tdx', tcbStatus: 'UpToDate', advisoryIds: [] });
      ok(/^[0-9a-f]{96}$/.test(summary.measurement), `measurement ${summary.measurement}`);
      equal(summary.measurement, world.policy.expected_bootchain.mrtd);
      equal(summary.simulated, true);
      like(report, { status: 'UpToDate', simulated: true, runtime_verified: true, trust_root: 'custom', tee: 'TDX' }, 'the report');
      equal(JSON.parse(receipt).receipt, 'postern-attestation/1');
    },
  },
  {
    name: 'that is not accepted by onAttestation sends nothing',
    essential: true,
    async run(api, world) {
      class Mine extends Error {}
      for (const refuse of [() => { throw new Mine('not this one'); }, async () => { throw new Mine('not this one'); }]) {
        let calls = 0;
        const fetch = world.fetcher({ onAttestation: () => { calls++; return refuse(); } });
        await rejects(fetch(world.path('/tell'), { method: 'POST', body: 'secret' }), { is: Mine, message: 'not this one' });
        equal(calls, 1, 'calls');
        await world.control('tunnels', { count: 0 });
        await rejects(fetch(world.path('/tell')), { is: Mine });
        equal(calls, 2, 'calls for the second request: another connection');
        await rejects(fetch.warmup(), { is: Mine });
      }
      equal((await world.note()).seen, []);
      equal(world.pool().total, 0, 'connections kept');
    },
  },
  {
    name: 'stands on the response and cannot be changed',
    essential: true,
    async run(api, world) {
      const told = [];
      const fetch = world.fetcher({ onAttestation: (summary, evidence) => { told.push([summary, evidence.report(), evidence.receipt()]); } });
      const answer = await fetch(world.path('/tell'));
      ok(answer instanceof Response, 'a Response');
      equal(answer.attestation, told[0][0]);
      equal(answer.attestationReport(), told[0][1]);
      equal(answer.receipt(), told[0][2]);
      equal(Object.keys(answer).filter(key => ['attestation', 'attestationReport', 'receipt'].includes(key)), [], 'enumerable');
      throws(() => { 'use strict'; answer.attestation = { trusted: true }; }, { is: TypeError });
      throws(() => { 'use strict'; delete answer.attestation; }, { is: TypeError });
      equal(answer.attestation.trusted, true);
      await answer.text();
      const second = await fetch(world.path('/tell'));
      equal(second.attestation, answer.attestation, 'of the same connection');
      await second.text();
    },
  },
  {
    name: 'warmup connects, and the request uses it',
    async run(api, world) {
      const before = await world.control('tunnels_begun');
      const fetch = world.fetcher();
      equal(four(await fetch.warmup()), { trusted: true, teeType: 'Tdx', tcbStatus: 'UpToDate', advisoryIds: [] });
      equal((await world.note()).seen, []);
      equal(four(await fetch.warmup()).trusted, true, 'once more');
      equal((await fetch(world.path('/tell'))).status, 200);
      equal(await world.control('tunnels_begun') - before, 1, 'connections');
    },
  },
  {
    name: 'warmup says why not',
    async run(api, world) {
      const policy = { ...world.policy, os_image_hash: '00'.repeat(32) };
      await rejects(world.fetcher({ policy }).warmup(), { is: api.AtlsError, category: 'policy', code: 'os_image_hash_mismatch' });
    },
  },
  {
    name: 'grows old and is made anew on the same connection',
    async run(api, world) {
      const connections = await world.control('tunnels_begun');
      const quotes = await world.control('quotes');
      let told = 0;
      const fetch = world.fetcher({ attestationTtl: 1, onAttestation: () => { told++; } });
      const receipts = [];
      for (let n = 0; n < 3; n++) {
        const answer = await fetch(world.path('/tell'));
        receipts.push(JSON.parse(answer.receipt()).session.nonce);
        await answer.text();
        const now = performance.now();
        await until(() => performance.now() > now + 2, 'a proof that is too old');
      }
      equal(await world.control('quotes') - quotes, 3, 'quotes');
      equal(await world.control('tunnels_begun') - connections, 1, 'connections');
      equal(new Set(receipts).size, 3, 'nonces');
      ok(told >= 1, 'told');
    },
  },
  {
    name: 'grows old as the policy says',
    async run(api, world) {
      const quotes = await world.control('quotes');
      const fetch = world.fetcher({ policy: { ...world.policy, reattest_after: 1 } });
      const begun = performance.now();
      await (await fetch(world.path('/tell'))).text();
      await (await fetch(world.path('/tell'))).text();
      const within = await world.control('quotes') - quotes;
      const now = performance.now();
      ok(within === 1 || now > begun + 1_000, `${within} quotes within the time`);
      await until(() => performance.now() > now + 1_050, 'a proof that is too old');
      await (await fetch(world.path('/tell'))).text();
      equal(await world.control('quotes') - quotes, within + 1, 'quotes after it');
    },
  },
  {
    name: 'errors are of one class with all that a program needs',
    async run(api, world) {
      const policy = world.policy;
      policy.expected_bootchain.rtmr1 = '00'.repeat(48);
      const error = await rejects(world.fetcher({ policy })(world.path('/tell')), {
        is: api.AtlsError, name: 'AtlsError', code: 'bootchain_mismatch', category: 'policy', number: 501, retryable: false,
        message: /^bootchain mismatch: rtmr1 expected 0{96}, got [0-9a-f]{96}/,
      });
      ok(error instanceof Error && String(error).includes('bootchain mismatch: rtmr1'), String(error));
      ok(typeof error.stack === 'string', 'a stack');
    },
  },
];
