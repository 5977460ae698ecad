'use strict';
// relay: the WebSocket-to-TCP relay that one writes in Node.js, with backpressure both ways.
const net = require('net');
const { WebSocketServer, createWebSocketStream } = require('ws');

const [listenHost, listenPort, targetHost, targetPort] = process.argv.slice(2);
const server = new WebSocketServer({ host: listenHost, port: Number(listenPort), backlog: 4096, perMessageDeflate: false });

server.on('connection', (client) => {
  const stream = createWebSocketStream(client);
  const target = net.connect({ host: targetHost, port: Number(targetPort), noDelay: true });
  const end = () => {
    stream.destroy();
    target.destroy();
  };
  stream.on('error', end);
  target.on('error', end);
  stream.pipe(target);
  target.pipe(stream);
});
