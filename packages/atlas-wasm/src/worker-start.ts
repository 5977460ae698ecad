// Workers of each platform. One job: to start the package's own, or take the caller's, and speak with them in one way.
import { nodeModule } from "./environment.js";

export interface AnyWorker {
  postMessage(message: unknown, transfer: Transferable[]): void;
  listen(heard: (data: unknown) => void, gone: (cause: unknown) => void): void;
  /** Whether it may keep a program alive that has nothing else to do. */
  hold(busy: boolean): void;
  terminate(): void;
}

export async function startWorker(given: true | Worker | (() => Worker)): Promise<AnyWorker> {
  if (typeof given === "function") return ofPlatform(given());
  if (given !== true) return ofPlatform(given);
  // In these very words: bundlers look for them.
  if (typeof Worker === "function") return ofPlatform(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  const threads = await nodeModule<typeof import("node:worker_threads")>("worker_threads").catch((cause: unknown) => {
    throw new TypeError("this platform has no workers: leave the option worker out", { cause });
  });
  const worker = new threads.Worker(new URL("./worker.js", import.meta.url));
  worker.unref();
  return {
    postMessage: (message, transfer) => worker.postMessage(message, transfer as unknown as Parameters<typeof worker.postMessage>[1]),
    listen(heard, gone) {
      worker.on("message", heard);
      worker.on("error", gone);
      worker.on("exit", gone);
    },
    hold: busy => (busy ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  };
}

function ofPlatform(worker: Worker): AnyWorker {
  return {
    postMessage: (message, transfer) => worker.postMessage(message, transfer),
    listen(heard, gone) {
      worker.addEventListener("message", ({ data }) => heard(data));
      worker.addEventListener("error", event => gone(event.error ?? event));
      worker.addEventListener("messageerror", event => gone(event));
    },
    hold() {},
    terminate: () => worker.terminate(),
  };
}
