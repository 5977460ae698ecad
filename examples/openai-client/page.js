// OpenAI's client in a page, over attested TLS. npm run build makes site/page.js of it; config.json lies beside that.
import { createAtlsFetch } from "@concrete-security/atlas-wasm";
import OpenAI from "openai";

const byId = id => document.getElementById(id);
const { model, ...where } = await (await fetch("config.json")).json();

// SIMULATION is a constant of the build: no file and no link can put another root in the place of Intel's.
const attested = createAtlsFetch({ ...where, simulation: SIMULATION });
const client = new OpenAI({
  baseURL: `https://${where.targetHost}/v1`,
  apiKey: "none", // the user's own, if the model wants one: whatever is in a page, its visitors can read
  dangerouslyAllowBrowser: true,
  fetch: attested,
});

byId("ask").addEventListener("submit", async event => {
  event.preventDefault();
  const answer = byId("answer");
  answer.textContent = "";
  try {
    const pieces = await client.chat.completions.create({
      model, stream: true, messages: [{ role: "user", content: byId("question").value }],
    });
    for await (const piece of pieces) answer.append(piece.choices[0]?.delta.content ?? "");
  } catch (error) {
    byId("status").textContent = `Failed: ${error.message}`;
  }
});

try {
  const { teeType, tcbStatus, simulated } = await attested.warmup();
  byId("status").textContent = `Attested: ${teeType}, ${tcbStatus}${simulated ? ", simulated" : ""}`;
  byId("ask").querySelector("button").disabled = false;
} catch (error) {
  byId("status").textContent = `Refused: ${error.message}`;
}
