// The Vercel AI SDK in a page, over attested TLS. npm run build makes site/page.js of it; config.json lies beside that.
import "./no-eval.js";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createAtlsFetch } from "@concrete-security/atlas-wasm";
import { streamText } from "ai";

const byId = id => document.getElementById(id);
const { model, ...where } = await (await fetch("config.json")).json();

// SIMULATION is a constant of the build: no file and no link can put another root in the place of Intel's.
const attested = createAtlsFetch({ ...where, simulation: SIMULATION });
const provider = createOpenAICompatible({ name: "attested", baseURL: `https://${where.targetHost}/v1`, fetch: attested });

byId("ask").addEventListener("submit", async event => {
  event.preventDefault();
  const answer = byId("answer");
  answer.textContent = "";
  const { textStream } = streamText({
    model: provider(model), prompt: byId("question").value,
    onError: ({ error }) => { byId("status").textContent = `Failed: ${error.message}`; },
  });
  for await (const text of textStream) answer.append(text);
});

try {
  const { teeType, tcbStatus, simulated } = await attested.warmup();
  byId("status").textContent = `Attested: ${teeType}, ${tcbStatus}${simulated ? ", simulated" : ""}`;
  byId("ask").querySelector("button").disabled = false;
} catch (error) {
  byId("status").textContent = `Refused: ${error.message}`;
}
