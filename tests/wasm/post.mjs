// One POST by the npm package, as an application makes it, through a bridge.
//
//   node post.mjs '{"url": the bridge, with its target, "name", "policy": its text, "roots": PEM, "body", "seconds": for each part}'
//
// Prints { "body" }, or { "error": { code, category, number, message } } where nothing came of it.
import { AtlsHttp, init } from '../../packages/atlas-wasm/dist/index.js';

const job = JSON.parse(process.argv[2]);
const ms = job.seconds * 1000;

await init({ simulation: true });
try {
  const http = await AtlsHttp.connect(job.url, job.name, job.policy, {
    roots: job.roots || undefined, timeouts: { connect: ms, attest: ms, response: ms }, collateral: { cache: 'none' },
  });
  const answer = await http.fetch('POST', '/digest', job.name, [], new TextEncoder().encode(job.body));
  console.log(JSON.stringify({ body: await new Response(answer.body).text() }));
  http.close();
} catch (error) {
  const { name, code, category, number, message } = error;
  console.log(JSON.stringify({ error: { name, code, category, number, message } }));
}
