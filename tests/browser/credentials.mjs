// Tokens and keyrings as Node.js has them, for the tests of ati: one question as JSON on standard input, one answer on standard output.
//
//   {"sign": claims, "alg", "pem" | "hex"}                → {"token"}        by jose
//   {"verify": token, "pem" | "hex" | "jwks", …options}   → {"claims", "header"} or {"error"}
//   {"seal": text, "key": base64}                         → {"sealed": base64}      nonce ‖ AES-256-GCM ‖ tag
//   {"open": base64, "key": base64}                       → {"text"} or {"error"}
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import * as jose from "jose";

const asked = JSON.parse(await new Response(process.stdin).text());
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

async function verify() {
  const key = asked.jwks ? jose.createLocalJWKSet(asked.jwks) : asked.pem ? await jose.importSPKI(asked.pem, "ES256") : bytes(asked.hex);
  const done = await jose.jwtVerify(asked.verify, key, asked.options ?? {});
  return { claims: done.payload, header: done.protectedHeader };
}

async function sign() {
  const key = asked.pem ? await jose.importPKCS8(asked.pem, "ES256") : bytes(asked.hex);
  return { token: await new jose.SignJWT(asked.sign).setProtectedHeader({ alg: asked.alg, ...asked.header }).sign(key) };
}

function seal() {
  const nonce = randomBytes(12), cipher = createCipheriv("aes-256-gcm", Buffer.from(asked.key, "base64"), nonce);
  const text = Buffer.concat([cipher.update(asked.seal, "utf8"), cipher.final()]);
  return { sealed: Buffer.concat([nonce, text, cipher.getAuthTag()]).toString("base64") };
}

function open() {
  const sealed = Buffer.from(asked.open, "base64");
  const cipher = createDecipheriv("aes-256-gcm", Buffer.from(asked.key, "base64"), sealed.subarray(0, 12));
  cipher.setAuthTag(sealed.subarray(-16));
  return { text: cipher.update(sealed.subarray(12, -16), undefined, "utf8") + cipher.final("utf8") };
}

let answer;
try {
  answer = asked.sign ? await sign() : asked.verify ? await verify() : asked.seal !== undefined ? seal() : open();
} catch (e) {
  answer = { error: e.code ?? e.message };
}
console.log(JSON.stringify(answer));
