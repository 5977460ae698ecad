// The page that talks to the bridge, for whichever browser: run(case) opens a WebSocket and tells what script saw.
export const page = `<!doctype html><meta charset="utf-8"><title>bridge test</title><script>
const hex = b => [...new Uint8Array(b)].map(x => x.toString(16).padStart(2, '0')).join('');
const digest = async b => hex(await crypto.subtle.digest('SHA-256', b));

async function run(test) {
  const seen = { name: test.name, opened: false, error: false, received: 0, binary: true };
  const socket = new WebSocket(test.url, test.protocols || []);
  socket.binaryType = 'arraybuffer';
  const pieces = [];
  const closed = new Promise(resolve => {
    socket.onerror = () => { seen.error = true; };
    socket.onclose = e => resolve({ code: e.code, reason: e.reason, clean: e.wasClean });
  });
  socket.onmessage = e => {
    if (typeof e.data === 'string') { seen.binary = false; return; }
    pieces.push(new Uint8Array(e.data));
    seen.received += e.data.byteLength;
    if (test.do === 'echo' && seen.received >= test.bytes) socket.close(1000, 'done');
  };
  socket.onopen = async () => {
    seen.opened = true;
    seen.protocol = socket.protocol;
    seen.extensions = socket.extensions;
    if (test.do !== 'echo') return;
    const data = new Uint8Array(test.bytes);
    for (let at = 0; at < data.length; at += 65536) crypto.getRandomValues(data.subarray(at, Math.min(at + 65536, data.length)));
    seen.sent = await digest(data);
    const step = test.step || 100000;
    for (let at = 0; at < data.length; at += step) {
      while (socket.bufferedAmount > 4 << 20) await new Promise(r => setTimeout(r, 1));
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.send(data.subarray(at, Math.min(at + step, data.length)));
    }
  };
  Object.assign(seen, await closed);
  const whole = new Uint8Array(seen.received);
  let at = 0;
  for (const piece of pieces) { whole.set(piece, at); at += piece.length; }
  seen.hash = await digest(whole);
  return seen;
}
</script>`;
