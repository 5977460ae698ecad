// All cases, by topic. A case is a name and a function of (api, world); besides:
//
//   only        'node' or 'browser'
//   essential   also over a plain WebSocket in the browser
//   worker      false: not in worker mode, because it is about something else
//   fresh       wants a package that nobody has used yet
//   loads       instead of run: one function for each time that the page is loaded (browser)
//   page        another page than the usual (browser)
//   violates    the page's Content Security Policy is meant to be violated
import { cases as abort } from './abort.mjs';
import { cases as attestation } from './attestation.mjs';
import { cases as bridge } from './bridge.mjs';
import { cases as bulk } from './bulk.mjs';
import { cases as collateral } from './collateral.mjs';
import { cases as csp } from './csp.mjs';
import { cases as evidence } from './evidence.mjs';
import { cases as faults } from './faults.mjs';
import { cases as fetch } from './fetch.mjs';
import { cases as init } from './init.mjs';
import { cases as lowlevel } from './lowlevel.mjs';
import { cases as options } from './options.mjs';
import { cases as pool } from './pool.mjs';
import { cases as refusals } from './refusals.mjs';
import { cases as streaming } from './streaming.mjs';
import { cases as worker } from './worker.mjs';

const topics = { init, options, attestation, evidence, fetch, streaming, abort, pool, bulk, faults, bridge, refusals, collateral, lowlevel, worker, csp };

export const cases = Object.entries(topics).flatMap(([topic, list]) =>
  list.map(one => ({ ...one, name: `${topic}/${one.name.replaceAll(' ', '-')}` })));
