// TLS 1.3 through the bridge: an HTTPS request whose records travel as WebSocket messages.
//
//   node tls-through.mjs ws://bridge/?target=… CA.pem /path      prints: status, body bytes, body SHA-256
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import WebSocket, { createWebSocketStream } from 'ws';

const [url, ca, path] = process.argv.slice(2);
const socket = new WebSocket(url);
const tunnel = createWebSocketStream(socket);
const session = tls.connect({ socket: tunnel, ca: readFileSync(ca), servername: 'localhost', minVersion: 'TLSv1.3' });

session.on('secureConnect', () => {
  session.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
});
const parts = [];
session.on('data', piece => parts.push(piece));
session.on('end', () => {
  const whole = Buffer.concat(parts);
  const split = whole.indexOf('\r\n\r\n');
  const body = whole.subarray(split + 4);
  console.log(whole.toString('latin1', 9, 12), body.length, createHash('sha256').update(body).digest('hex'));
  process.exit(0);
});
for (const one of [session, tunnel, socket]) {
  one.on('error', error => { console.error(error); process.exit(1); });
}
