// TODO
import type { ClientOptions, ClientRequest } from "./client.js";
import type { AnswerHead } from "./exchange.js";
import type { ByteSource } from "./incoming.js";
import type { Proof } from "./proof.js";
import type { PoolStats } from "./types.js";
export class WorkerClient {
  constructor(readonly worker: true | Worker | (() => Worker), readonly options: ClientOptions) {}
  send(_request: ClientRequest): Promise<{ head: AnswerHead; body: ByteSource; proof: Proof }> { throw new Error("soon"); }
  warmup(): Promise<Proof> { throw new Error("soon"); }
  close(): void {}
}
export const workerStats = (): PoolStats[] => [];
export const closeWorkers = (): void => {};
