// What clients are asked to do, and what is written down of it: rows of values, by what is added to the client's name.
//
// A client: connect() makes a connection and closes it, get(path) reads an answer and tells its bytes, verify() judges a quote,
// decrypt(path, bytes) tells the milliseconds that each byte of an answer costs its module, for every piece of it; and clock, where the
// time inside that is known. What it cannot do it has not.

const LARGE = 16 * 1024 * 1024;
const SMALL = 1024;
const KNOWN = '-known';
const median = values => quantile(values, 0.5);
const total = values => values.reduce((sum, value) => sum + value);

function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

/** Of each value, over several rows. */
export const medians = rows => Object.fromEntries(Object.keys(rows[0]).map(key => [key, median(rows.map(row => row[key]))]));

/** Again and again for so long: what each took, by the wall and inside the module; what came of them, summed up. */
async function repeat(one, clock, seconds) {
  const wall = [];
  const inside = [];
  let sum = 0;
  const end = performance.now() + 1000 * seconds;
  do {
    const before = clock?.ms;
    const began = performance.now();
    sum += (await one()) ?? 0;
    wall.push(performance.now() - began);
    inside.push(clock ? clock.ms - before : NaN);
  } while (performance.now() < end);
  return { wall, inside, sum };
}

/** From the start, and with what was found true before. The very first, which finds code that was never run, is told apart. */
async function twice(one, clock, { seconds, warmup }) {
  const rows = {};
  for (const [suffix, forgetful] of clock ? [['', true], [KNOWN, false]] : [['', false]]) {
    if (clock) clock.forgetful = forgetful;
    const first = await repeat(one, clock, 0);
    await repeat(one, clock, warmup);
    const { wall, inside } = await repeat(one, clock, seconds);
    rows[suffix] = { wall_ms: median(wall), ...(clock ? { wasm_ms: median(inside) } : {}), ...(suffix ? {} : { first_ms: first.wall[0] }) };
  }
  return rows;
}

export const jobs = {
  connect: (client, job) => twice(() => client.connect(), client.clock, job),
  verify: (client, job) => twice(async () => { client.verify(); }, client.clock, job),

  async download(client, { seconds, warmup }) {
    const one = () => client.get(`/${LARGE}`);
    await repeat(one, client.clock, warmup);
    const { wall, sum } = await repeat(one, client.clock, seconds);
    return { '': { mb_s: 0.001 * sum / total(wall) } }; // bytes a microsecond are megabytes a second
  },

  /** Of pieces, the one in the middle: what else the machine does in between hits few of them. */
  async decrypt(client, { seconds, warmup }) {
    const costs = [];
    const one = async () => { costs.push(...await client.decrypt(`/${LARGE}`, LARGE)); };
    await repeat(one, undefined, warmup);
    costs.length = 0;
    await repeat(one, undefined, seconds);
    return { '': { mb_s: 0.001 / median(costs) } };
  },

  async request(client, { seconds, warmup }) {
    const one = () => client.get(`/${SMALL}`);
    await repeat(one, client.clock, warmup);
    const { wall, inside } = await repeat(one, client.clock, seconds);
    return { '': {
      ops: 1000 * wall.length / total(wall), p50: 1000 * median(wall), p99: 1000 * quantile(wall, 0.99),
      ...(client.clock ? { wasm_us: 1000 * median(inside) } : {}),
    } };
  },
};

export async function run(client, job) {
  const needs = { download: 'get', request: 'get' }[job.do] ?? job.do;
  if (!client[needs]) throw new Error(`this client has no ${needs}()`);
  const rows = await jobs[job.do](client, job);
  await client.close?.();
  return rows;
}
