// Collateral for a connection. One job: known, kept or fetched; one fetch at a time for each family of platforms, whoever asks.
import type { Collateral, CollateralNeed } from "./attest.js";
import { fetchCollateral } from "./collateral-fetch.js";
import { collateralStore } from "./collateral-store.js";
import { pageUrl } from "./environment.js";
import { identity } from "./identity.js";
import type { Engine } from "./module.js";
import type { CollateralOptions } from "./types.js";

/* An entry that is older is fetched anew, and serves on when that fails. */
const FRESH_S = 8 * 3600;
/* Fetched this long before it ends. */
const MARGIN_S = 60;
const underWay = new Map<string, Promise<string>>();

export async function getCollateral(
  engine: Engine, need: CollateralNeed, policyUrl: string, options: CollateralOptions = {}, timeoutMs = 30_000,
): Promise<Collateral> {
  const service = options.url ?? policyUrl;
  const key = [need.fmspc, need.tee, need.ca, options.bundleUrl ?? (URL.canParse(service, pageUrl()) ? new URL(service, pageUrl()).href : service)].join(" ");
  const store = collateralStore(options.cache);
  const nowS = Date.now() / 1000;
  const found = need.anew ? undefined : await store.get(key);
  const kept = found && expiryOf(engine, found.json) === undefined ? undefined : found;
  const given = (json: string, old = false): Collateral => ({ json, old, refused: () => void store.forget(key) });
  if (kept && nowS < kept.fetched + FRESH_S && kept.fetched <= nowS && nowS < kept.expires - MARGIN_S) return given(kept.json, true);

  const fetchIt = async (): Promise<string> => {
    const json = await fetchCollateral(engine, need, {
      service, bundleUrl: options.bundleUrl, timeoutMs, fetch: options.fetch ?? globalThis.fetch.bind(globalThis), anew: need.anew,
    });
    const expires = expiryOf(engine, json);
    if (expires !== undefined) await store.put(key, { json, expires, fetched: Date.now() / 1000 });
    return json;
  };
  try {
    return given(await once(`${need.anew} ${identity(options.fetch)} ${timeoutMs} ${key}`, fetchIt));
  } catch (error) {
    if (kept && nowS < kept.expires) return given(kept.json, true);
    throw error;
  }
}

/* Shared by those who would ask in the same way. A failure is not remembered: who tries again means it, and those who ask together have asked once. */
function once(key: string, work: () => Promise<string>): Promise<string> {
  let running = underWay.get(key);
  if (!running) underWay.set(key, (running = work().finally(() => underWay.delete(key))));
  return running;
}

/** Undefined: it is damaged, as the module will say when it gets it. */
function expiryOf(engine: Engine, json: string): number | undefined {
  return engine.lending(lend => {
    if (!engine.exports.collateral_about(...lend(json), Date.now() / 1000)) return undefined;
    return engine.answerJson<{ expires: number }>().expires;
  });
}
