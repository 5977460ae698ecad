// The ws library against the bridge: prints what it saw, as JSON.
//
//   node node-client.mjs '{"url": …, "bytes": N, "origin": …, "protocols": […], "headers": {…}}'
import { createHash, randomBytes } from 'node:crypto';
import WebSocket from 'ws';

const job = JSON.parse(process.argv[2]);
const seen = { opened: false, received: 0, pongs: 0 };
const received = createHash('sha256');
const sent = createHash('sha256');

const socket = new WebSocket(job.url, job.protocols || [], {
  origin: job.origin, headers: job.headers, perMessageDeflate: true, rejectUnauthorized: false,
});

async function talk() {
  socket.ping('hello');
  let left = job.bytes || 0;
  while (left > 0) {
    const piece = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 200000)));
    left -= piece.length;
    sent.update(piece);
    // Every other message goes out as two fragments.
    if (piece.length > 1 && left % 2) {
      socket.send(piece.subarray(0, piece.length >> 1), { fin: false, binary: true, compress: false });
      await new Promise(r => socket.send(piece.subarray(piece.length >> 1), { fin: true, binary: true, compress: false }, r));
    } else {
      await new Promise(r => socket.send(piece, { compress: false }, r));
    }
  }
}

socket.on('open', () => {
  seen.opened = true;
  seen.protocol = socket.protocol;
  seen.extensions = socket.extensions;
  if (job.bytes) talk();
});
socket.on('pong', () => { seen.pongs++; });
socket.on('message', (data, binary) => {
  seen.binary = binary;
  received.update(data);
  seen.received += data.length;
  if (job.bytes && seen.received >= job.bytes) socket.close(4321, 'enough');
});
socket.on('unexpected-response', (request, response) => {
  seen.status = response.statusCode;
  let body = '';
  response.on('data', piece => { body += piece; });
  response.on('end', () => { seen.body = body; finish(); });
});
socket.on('error', error => { seen.error = String(error.message); });
socket.on('close', (code, reason) => {
  seen.code = code;
  seen.reason = reason.toString();
  finish();
});

let finished = false;
function finish() {
  if (finished) return;
  finished = true;
  seen.sent = sent.digest('hex');
  seen.hash = received.digest('hex');
  console.log(JSON.stringify(seen));
  process.exit(0);
}
