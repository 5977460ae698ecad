// The Vercel AI SDK in Node.js, over attested TLS: has the environment prove itself, asks, prints the answer as it comes.
//
//   node example.mjs [--simulation] CONFIG.json [QUESTION]
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createAtlsFetch } from "@concrete-security/atlas-wasm";
import { streamText } from "ai";

const { values, positionals } = parseArgs({ options: { simulation: { type: "boolean", default: false } }, allowPositionals: true });
const [file = "config.json", question = "Is anybody listening?"] = positionals;
const { model, ...where } = JSON.parse(await readFile(file, "utf8"));

// Whether Intel's root may be replaced by a simulator's is said here, never by a file.
const fetch = createAtlsFetch({ ...where, simulation: values.simulation });

// Without this the first request would do it; but the SDK would try a refusal again, and it is final.
const { teeType, tcbStatus, simulated } = await fetch.warmup();
console.error(`attested: ${teeType}, ${tcbStatus}${simulated ? ", simulated" : ""}`);

const provider = createOpenAICompatible({ name: "attested", baseURL: `https://${where.targetHost}/v1`, apiKey: process.env.OPENAI_API_KEY, fetch });
const { textStream } = streamText({ model: provider(model), prompt: question });
for await (const text of textStream) process.stdout.write(text);
process.stdout.write("\n");
fetch.close();
