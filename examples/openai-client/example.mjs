// OpenAI's client in Node.js, over attested TLS: has the environment prove itself, asks, prints the answer as it comes.
//
//   node example.mjs [--simulation] CONFIG.json [QUESTION]
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createAtlsFetch } from "@concrete-security/atlas-wasm";
import OpenAI from "openai";

const { values, positionals } = parseArgs({ options: { simulation: { type: "boolean", default: false } }, allowPositionals: true });
const [file = "config.json", question = "Is anybody listening?"] = positionals;
const { model, ...where } = JSON.parse(await readFile(file, "utf8"));

// Whether Intel's root may be replaced by a simulator's is said here, never by a file.
const fetch = createAtlsFetch({ ...where, simulation: values.simulation });

// Without this the first request would do it; but the client would try a refusal again, and it is final.
const { teeType, tcbStatus, simulated } = await fetch.warmup();
console.error(`attested: ${teeType}, ${tcbStatus}${simulated ? ", simulated" : ""}`);

const client = new OpenAI({ baseURL: `https://${where.targetHost}/v1`, apiKey: process.env.OPENAI_API_KEY ?? "none", fetch });
const answer = await client.chat.completions.create({ model, stream: true, messages: [{ role: "user", content: question }] });
for await (const piece of answer) process.stdout.write(piece.choices[0]?.delta.content ?? "");
process.stdout.write("\n");
fetch.close();
