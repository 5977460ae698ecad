// The module's life. One job: loaded once, whoever asks first; started anew after a trap.
import { flag } from "./environment.js";
import { loadBytes, loadModule } from "./load.js";
import { startEngine, type Engine } from "./module.js";
import type { InitInput, InitOptions, VersionInfo } from "./types.js";

export interface Assets {
  module: WebAssembly.Module;
  roots: Uint8Array;
}

let options: InitOptions = {};
let simulation = false;
let assets: Promise<Assets> | undefined;
let starting: Promise<Engine> | undefined;
let engine: Engine | undefined;

/**
 * Loads and starts the WebAssembly module. Everything asynchronous does so by itself; call it to say from where, to have it ready
 * early, or before the functions that answer at once (verifyQuote, mergeWithDefaultAppCompose, …).
 * Only the first call says from where, and what is to be checked: what comes when something else has loaded the module already throws.
 * One that failed may be tried again.
 */
export async function init(source?: InitInput | InitOptions): Promise<void> {
  const given = source === undefined ? {} : isOptions(source) ? source : { wasm: source };
  const allowed = flag(given.simulation, "simulation") ?? simulation;
  whole(given.integrity);
  if (assets) notTooLate(given);
  else options = given;
  simulation = allowed;
  await theEngine();
}

/** What a worker needs to start without loading anything; undefined: nobody has called init yet. */
export const loadedAssets = (): Promise<Assets> | undefined => assets;
export const simulationAllowed = (): boolean => simulation;

/** For a worker, whose page has loaded them. */
export function useAssets(given: Assets, allowSimulation: boolean): void {
  simulation = allowSimulation;
  assets ??= Promise.resolve(given);
}

export function theEngine(): Promise<Engine> {
  if (engine && !engine.broken) return Promise.resolve(engine);
  starting ??= start().finally(() => {
    starting = undefined;
  });
  return starting;
}

/** For what cannot wait. */
export function engineNow(): Engine {
  if (!engine) throw new Error("the WebAssembly module is not loaded: await init() first");
  if (engine.broken) throw engine.broken;
  return engine;
}

/** What the module was made of. After init(). */
export function version(): VersionInfo {
  const now = engineNow();
  now.exports.about();
  return now.answerJson<VersionInfo>();
}

async function start(): Promise<Engine> {
  assets ??= load(options);
  try {
    const { module, roots } = await assets;
    return (engine = await startEngine(module, roots));
  } catch (error) {
    if (!engine) assets = undefined; // another try may say from where
    throw error;
  }
}

async function load(from: InitOptions): Promise<Assets> {
  const [module, roots] = await Promise.all([
    loadModule(from.wasm ?? new URL("./atlas.wasm", import.meta.url), from.integrity?.wasm),
    loadBytes(from.roots ?? new URL("./roots.bin", import.meta.url), "the list of trust anchors", from.integrity?.roots),
  ]);
  return { module, roots };
}

function whole(integrity: InitOptions["integrity"]): void {
  if (integrity === undefined) return;
  const known = typeof integrity === "object" && integrity !== null && Object.keys(integrity).every(name => name === "wasm" || name === "roots");
  if (!known) throw new TypeError("integrity must be { wasm, roots }, each sha256-…, sha384-… or sha512-…, or left out");
}

/** The module is there, or on its way: what was not checked then never will be. */
function notTooLate(given: InitOptions): void {
  const differs = (one: unknown, other: unknown): boolean =>
    one !== undefined && one !== other && !(one instanceof URL && other instanceof URL && one.href === other.href);
  const late = differs(given.wasm, options.wasm) ? "wasm"
    : differs(given.roots, options.roots) ? "roots"
    : differs(given.integrity?.wasm, options.integrity?.wasm) || differs(given.integrity?.roots, options.integrity?.roots) ? "integrity"
    : undefined;
  if (late) throw new Error(`init: ${late} comes too late, the module was loaded before: call init first of all`);
}

function isOptions(source: InitInput | InitOptions): source is InitOptions {
  return (
    typeof source === "object" && !(source instanceof URL) && !(source instanceof Request) && !(source instanceof Response) &&
    !(source instanceof ArrayBuffer) && !(source instanceof Uint8Array) && !(source instanceof WebAssembly.Module)
  );
}
