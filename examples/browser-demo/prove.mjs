// prove: the demo without its page, under Node.js: the good visit with a streamed answer, then every refusal, on the same servers.
//
//   node prove.mjs http://127.0.0.1:8000/      exit status 0: all of them ended as they must
import { webcrypto } from "node:crypto";
import process from "node:process";
import * as atlas from "../../packages/atlas-wasm/dist/index.js";
import { words } from "./sse.js";
import { ask, visit } from "./visit.js";
import { good, refused } from "./visits.js";

// The package asks for Node.js 20; Debian 12 has 18, which lacks nothing else.
globalThis.crypto ??= webcrypto;

const QUESTION = "is anybody listening?";
const page = new URL(process.argv[2]);

async function served(path, type) {
  const response = await fetch(new URL(path, page));
  const got = response.headers.get("content-type") ?? "";
  if (!response.ok || !got.startsWith(type)) throw new Error(`${page}${path} answered ${response.status}, ${got}; expected ${type}`);
  return response;
}

async function theAnswer(channel, config) {
  const response = await ask(channel.fetch, config, [{ role: "user", content: QUESTION }]);
  const pieces = [];
  for await (const piece of words(response)) pieces.push(piece);
  const text = pieces.join("");
  if (!text.includes(QUESTION)) throw new Error(`the answer is not the model's: ${text}`);
  if (!response.attestation?.trusted) throw new Error("the answer came without an attestation");
  return { text, pieces: pieces.length };
}

async function prove() {
  await served("", "text/html");
  await served("main.js", "text/javascript");
  await served("atlas/atlas.wasm", "application/wasm");
  const config = await (await served("config.json", "application/json")).json();
  config.collateralUrl = new URL(config.collateralUrl, page).href;
  await atlas.init({ integrity: config.integrity });
  const { version, openssl } = atlas.version();
  console.log(`
The same in WebAssembly, as a web page has it, through the bridge:
  page         ${page}
  module       ${version}, OpenSSL ${openssl}, ${config.integrity.wasm}`);

  const { attested, refused: fault } = await visit(atlas, config, good);
  if (fault) throw fault;
  const { text, pieces } = await theAnswer(attested, config);
  attested.fetch.close();
  atlas.verifyReceipt(attested.receipt, { policy: config.policy, simulation: true });
  console.log(`  environment  ${attested.report.tee}, TCB ${attested.report.status}, simulated: ${attested.report.simulated}
  runs         application ${attested.report.compose_hash}
  receipt      ${attested.receipt.length} bytes, verified again offline
  answer       ${pieces} pieces as they came: ${text}`);

  let wrong = 0;
  for (const one of refused) {
    const result = await visit(atlas, config, one);
    result.attested?.fetch.close();
    const code = result.refused ? result.refused.code : "accepted";
    console.log(`  ${one.id.padEnd(12)} ${code === one.code ? "refused:" : "WRONG:"} ${code}${code === one.code ? "" : `, not ${one.code}: ${result.refused?.message ?? ""}`}`);
    if (code !== one.code) wrong += 1;
  }
  atlas.closeAllConnections();
  if (wrong > 0) throw new Error(`${wrong} of ${refused.length} visits did not end as they must`);
  console.log("\nAttested in WebAssembly.");
}

try {
  await prove();
} catch (error) {
  console.error(`prove: ${error.message}`);
  process.exitCode = 1;
}
