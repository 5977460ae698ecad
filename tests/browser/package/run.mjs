// Runs one case, and looks whether anything was left behind.
import { cases } from './cases/index.mjs';
import { equal, until } from './check.mjs';
import { makeWorld } from './world.mjs';

const LIMIT_MS = 45_000;

/** null, or why it failed. */
export async function runCase(name, given) {
  const { api, control, faults } = given;
  const one = cases.find(other => other.name === name);
  let last = 'nothing';
  const watched = (word, what) => {
    last = `${word} ${JSON.stringify(what ?? {})}`;
    return control(word, what);
  };
  faults.length = 0;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end; the last thing asked of the world: ${last}`)), LIMIT_MS);
  });
  try {
    await Promise.race([late, (async () => {
      const world = makeWorld({ ...given, control: watched, name });
      await (one.loads ? one.loads[given.load ?? 0] : one.run)(api, world);
      api.closeAllConnections();
      await until(() => api.getConnectionPoolStats().total === 0, 'an empty pool');
      equal(api.getConnectionPoolStats(), { total: 0, idle: 0, busy: 0, connecting: 0 }, 'the pool after closeAllConnections()');
      if (!one.leaves) await watched('tunnels', { count: 0 });
    })()]);
  } catch (error) {
    return `${error?.stack ?? error}${faults.length ? `\n${faults.join('\n')}` : ''}`;
  } finally {
    clearTimeout(timer);
  }
  return faults.length ? faults.join('\n') : null;
}
