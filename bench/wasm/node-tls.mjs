// TLS of Node.js itself, straight to the endpoint.
import tls from 'node:tls';
import { plainHttp } from './http.mjs';

export function plainTls(job) {
  const [host, port] = job.options.targetHost.split(':');
  let kept;
  let http;

  const open = () => new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: Number(port), servername: host, minVersion: 'TLSv1.3' }, () => resolve(socket));
    socket.setNoDelay(true).once('error', reject);
  });

  return {
    async connect() {
      const socket = await open();
      await new Promise(resolve => socket.once('close', resolve).destroy());
    },
    async get(path) {
      if (!kept) {
        kept = await open();
        http = plainHttp(job.options.targetHost, text => kept.write(text));
        kept.on('data', http.take).on('close', http.broken);
      }
      return http.get(path);
    },
    close: () => kept?.destroy(),
  };
}
