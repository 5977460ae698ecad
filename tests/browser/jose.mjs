// The jose library against the gateway's tokens: prints what it found, as JSON.
//
//   node jose.mjs '{"verify": {"token": …, "jwks": {…} | "secret": hex, "audience": …}}'
//   node jose.mjs '{"sign": {"alg": "ES256" | "HS256", "pem": … | "secret": hex, "claims": {…}, "header": {…}}}'
import { SignJWT, createLocalJWKSet, importPKCS8, jwtVerify } from 'jose';

const job = JSON.parse(process.argv[2]);

async function verify({ token, jwks, secret, audience }) {
  const key = jwks ? createLocalJWKSet(jwks) : Buffer.from(secret, 'hex');
  const { payload, protectedHeader } = await jwtVerify(token, key, { audience, algorithms: [jwks ? 'ES256' : 'HS256'] });
  return { claims: payload, header: protectedHeader };
}

async function sign({ alg, pem, secret, claims, header }) {
  const key = pem ? await importPKCS8(pem, alg) : Buffer.from(secret, 'hex');
  return { token: await new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT', ...header }).sign(key) };
}

try {
  console.log(JSON.stringify(job.verify ? await verify(job.verify) : await sign(job.sign)));
} catch (error) {
  console.log(JSON.stringify({ error: String(error.code ?? error) }));
}
