// Cases in this process. The package is found as any program's would be: by its name, from the folder.
import { cp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { runCase } from './run.mjs';

const faults = [];
process.on('unhandledRejection', reason => faults.push(`nobody handled: ${reason?.stack ?? reason}`));
process.on('uncaughtException', error => faults.push(`nobody caught: ${error?.stack ?? error}`));

export async function start(folder, control) {
  const WebSocket = createRequire(import.meta.url)('ws');
  let copies = 0;

  async function load(from) {
    return { api: await import(pathToFileURL(`${from}/entry.mjs`)), files: pathToFileURL(`${from}/node_modules/@concrete-security/atlas-wasm/dist/`), folder: from };
  }

  const usual = await load(folder);

  /** Modules are what they are by where they lie: a copy is a package that nobody has used yet. */
  async function fresh() {
    const copy = `${folder}-${++copies}`;
    await cp(folder, copy, { recursive: true });
    return load(copy);
  }

  return {
    run: async ({ run, world, variation, fresh: anew }) =>
      runCase(run, { ...(anew ? await fresh() : usual), about: world, variation, control, faults, runtime: 'node', WebSocket }),
    close: async () => {},
  };
}
