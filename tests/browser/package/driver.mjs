// Runs cases in Node.js, or in a page in Chromium, on command: one JSON object a line, both ways.
//
//   node driver.mjs list                      the cases that there are
//   node driver.mjs node|chromium FOLDER      FOLDER/node_modules has the package, as npm would install it
//
// In:  { run: NAME, world, variation }  or  { reply: N, value | fault }
// Out: { failure: null | text }         or  { control: WORD, with: {…}, id: N }: something to do to the world
import readline from 'node:readline';
import { cases } from './cases/index.mjs';

const [runtime, folder] = process.argv.slice(2);

if (runtime === 'list') {
  console.log(JSON.stringify(cases.map(({ run, loads, ...about }) => ({ ...about, loads: loads?.length }))));
  process.exit(0);
}

const say = message => process.stdout.write(JSON.stringify(message) + '\n');
const waiting = new Map();
let asked = 0;

function control(word, given = {}) {
  const id = ++asked;
  say({ control: word, with: given, id });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

const { start } = await import(runtime === 'node' ? './in-node.mjs' : './in-chromium.mjs');
const one = await start(folder, control).catch(error => {
  console.error(error);
  process.exit(1);
});

for await (const line of readline.createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.reply) {
    const { resolve, reject } = waiting.get(message.reply);
    waiting.delete(message.reply);
    if (message.fault === undefined) resolve(message.value);
    else reject(new Error(message.fault));
  } else {
    one.run(message).then(failure => say({ failure }), error => say({ failure: String(error?.stack ?? error) }));
  }
}
await one.close();
process.exit(0);
