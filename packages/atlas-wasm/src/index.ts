// The package's front door. One job: to name what it offers.
import { closePool, poolStats } from "./client.js";
import { init } from "./init.js";
import type { PoolStats } from "./types.js";
import { closeWorkers, workerStats } from "./worker-client.js";

export default init;
export { init, version } from "./init.js";
export { createAtlsFetch } from "./fetch.js";
export { AtlsHttp } from "./http.js";
export { AttestedStream } from "./stream.js";
export { appComposeHash, mergeWithDefaultAppCompose } from "./compose.js";
export { inspectQuote, verifyQuote, verifyReceipt } from "./verify.js";
export { AtlsError } from "./errors.js";
export type { AtlsErrorCategory, AtlsErrorInit } from "./errors.js";
export type * from "./types.js";

/** Closes every connection of every createAtlsFetch, busy or not; what is under way fails with category "closed". */
export function closeAllConnections(): void {
  closePool();
  closeWorkers();
}

/** How many connections the pool has, in all workers, too. */
export function getConnectionPoolStats(): PoolStats {
  return [poolStats(), ...workerStats()].reduce((sum, one) => ({
    total: sum.total + one.total, idle: sum.idle + one.idle, busy: sum.busy + one.busy, connecting: sum.connecting + one.connecting,
  }));
}
