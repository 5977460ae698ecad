// Policies and trust, as the module holds them. One job: made once for each that differs, and kept while a connection uses them.
import { AtlsError, policyError } from "./errors.js";
import { isProduction } from "./environment.js";
import type { Engine } from "./module.js";

/** All that the verdict depends on, beside the evidence. */
export interface Trust {
  policy: string;
  roots?: string | undefined;
  extraRoots?: string | undefined;
  simulation: boolean;
}

export interface PolicyAbout {
  pccs_url: string;
  simulation: boolean;
}

export interface Context {
  readonly handle: number;
  readonly about: PolicyAbout;
  /** No longer used by this holder. */
  release(): void;
}

interface Kept {
  handle: number;
  policy: number;
  about: PolicyAbout;
  uses: number;
}

const KEPT_MAX = 8;
const kept = new WeakMap<Engine, Map<string, Kept>>();

export function borrowContext(engine: Engine, trust: Trust): Context {
  let all = kept.get(engine);
  if (!all) kept.set(engine, (all = new Map()));
  const key = JSON.stringify([trust.policy, trust.roots ?? null, trust.extraRoots ?? null]);
  let one = all.get(key);
  if (!one) {
    one = make(engine, trust);
  } else {
    mayBeSimulated(one.about.simulation, trust.simulation);
    all.delete(key);
  }
  all.set(key, one); // the last of the map is the one used last
  one.uses++;
  const { handle, about } = one;
  let held = true;
  return {
    handle,
    about,
    release() {
      if (!held) return;
      held = false;
      one.uses--;
      drop(engine, all);
    },
  };
}

/** A policy for as long as use lasts. */
export function withPolicy<T>(engine: Engine, policy: string | undefined, simulation: boolean, use: (handle: number) => T): T {
  if (policy === undefined) return use(0);
  const handle = newPolicy(engine, policy);
  try {
    mayBeSimulated(aboutPolicy(engine, handle).simulation, simulation);
    return use(handle);
  } finally {
    if (!engine.broken) engine.exports.policy_delete(handle);
  }
}

function make(engine: Engine, trust: Trust): Kept {
  const { exports } = engine;
  const policy = newPolicy(engine, trust.policy);
  try {
    const about = aboutPolicy(engine, policy);
    mayBeSimulated(about.simulation, trust.simulation);
    const pem = [trust.roots, trust.extraRoots].filter(text => text !== undefined).join("\n");
    const extra = trust.roots === undefined ? 1 : 0;
    const handle = engine.lending(lend => engine.check(exports.context_new(policy, ...lend(pem), extra)));
    return { handle, policy, about, uses: 0 };
  } catch (error) {
    if (!engine.broken) exports.policy_delete(policy);
    throw error;
  }
}

function newPolicy(engine: Engine, json: string): number {
  return engine.lending(lend => {
    const handle = engine.exports.policy_new(...lend(json));
    if (handle) return handle;
    const { message, code, number } = engine.failure("attesting");
    const at = message.indexOf("invalid policy: "); // these words come first, once
    throw new AtlsError(at < 0 ? `invalid policy: ${message}` : message.slice(at), { category: "policy", code, number });
  });
}

function aboutPolicy(engine: Engine, policy: number): PolicyAbout {
  engine.exports.policy_about(policy);
  return engine.answerJson<PolicyAbout>();
}

/** A policy from a configuration file shall not switch Intel's root off by itself. */
export function mayBeSimulated(simulated: boolean, allowed: boolean): void {
  if (!simulated) return;
  const why = "the policy trusts another root than Intel's (trusted_roots, allow_simulated), which proves nothing about hardware";
  if (isProduction()) throw policyError("simulation_refused", `${why}: refused in production (NODE_ENV)`);
  if (allowed === true) return; // nothing that only looks true: "false", from a configuration file
  throw policyError("simulation_refused", `${why}: for tests with the simulator say so in code, with init({ simulation: true }) or the option simulation: true`);
}

function drop(engine: Engine, all: Map<string, Kept>): void {
  for (const [key, one] of all) {
    if (all.size <= KEPT_MAX) return;
    if (one.uses) continue;
    all.delete(key);
    if (engine.broken) continue;
    engine.exports.context_delete(one.handle);
    engine.exports.policy_delete(one.policy);
  }
}
