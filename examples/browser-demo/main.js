// main: the page. Loads the package, and lets the parts know what came of a visit.
import * as atlas from "./atlas/index.js";
import { setUpChat } from "./chat.js";
import { byId, h, icon } from "./dom.js";
import { drawPassed, drawRefused, drawRunning, drawWaiting } from "./ledger.js";
import { drawReport } from "./report.js";
import { drawVisits } from "./refusals.js";
import { carried, dump, TappedWebSocket, watch } from "./tap.js";
import { good } from "./visits.js";
import { visit } from "./visit.js";
import { explain } from "./words.js";

let config;
let channel = null; // what the good visit ended in

const STATES = { idle: "Not connected", busy: "Connecting and checking", attested: "Attested (simulated hardware)", refused: "Refused" };

function state(name) {
  document.body.dataset.state = name;
  byId("state").textContent = STATES[name];
}

function verdict(kind, title, text) {
  byId("verdict").replaceChildren(h(`div.${kind}`, {}, icon(kind), h("b", {}, title), h("p", {}, text)));
}

// The measurements of a quote, whatever its format's name for them.
function bodyOf(report) {
  const [body] = Object.values(report.report);
  return { ...body, ...body.base };
}

async function prove() {
  const button = byId("connect");
  button.disabled = true;
  channel?.fetch.close();
  channel = null;
  openChat(false);
  state("busy");
  drawRunning();
  verdict("running", "Connecting and checking", "Nothing of yours is sent while this goes on.");
  // Only this visit is tapped: so a plain WebSocket, which can be. The package would choose by itself.
  const { attested, refused, ms } = await visit(atlas, config, good, { transport: "websocket", WebSocket: TappedWebSocket });
  button.disabled = false;
  if (refused) {
    const { title, meaning, remedy } = explain(refused);
    state("refused");
    drawRefused(refused);
    verdict("failed", title, `${meaning} ${remedy} (${refused.message})`);
    return;
  }
  channel = attested;
  const { report, receipt: receiptText } = attested;
  const found = { config, target: config.targets.environment, report, receiptText, receipt: JSON.parse(receiptText), body: bodyOf(report) };
  state("attested");
  drawPassed(found);
  verdict("passed", "It is what the policy asks for",
    `All twelve checks passed in ${Math.round(ms ?? attested.ms)} ms, on a simulated machine. Until here nothing of yours was sent: only a random number, to ask for the proof.`);
  button.textContent = "Connect and check again";
  drawReport(found, () => {
    try {
      atlas.verifyReceipt(receiptText, { policy: config.policy, simulation: true });
      return undefined;
    } catch (error) {
      return error;
    }
  });
  openChat(true);
}

function drawWire() {
  byId("carried").textContent = `${carried.up.toLocaleString("en")} bytes up and ${carried.down.toLocaleString("en")} down, in ${carried.messages} messages.`;
  if (carried.last) byId("dump").textContent = dump(carried.last);
}

function about() {
  const { version, openssl } = atlas.version();
  const wasm = config.integrity?.wasm ?? "";
  byId("about").textContent = `Postern ${version}, OpenSSL ${openssl}, in WebAssembly. ${wasm && `The module that runs here is ${wasm}, which the browser has checked.`}`;
}

const openChat = setUpChat(() => ({ fetch: channel.fetch, config }));
const openVisits = drawVisits(one => visit(atlas, config, one));

drawWaiting();
watch(drawWire);
byId("connect").addEventListener("click", () => void prove());

try {
  config = await (await fetch("config.json")).json();
  byId("policy").textContent = JSON.stringify(config.policy, null, 2);
  await atlas.init({ integrity: config.integrity });
  about();
  openVisits();
  byId("connect").disabled = false;
} catch (error) {
  state("refused");
  verdict("failed", "The module could not be started", `${error.message}`);
}
