// tap: a WebSocket that notes what goes over it: exactly what the bridge gets to see.

export const carried = { up: 0, down: 0, messages: 0, last: null };
let changed = () => {};

export function watch(then) {
  changed = then;
}

function note(way, bytes) {
  carried[way] += bytes.length;
  carried.messages += 1;
  if (way === "up") carried.last = bytes.slice(0, 64);
  changed();
}

function bytesOf(data) {
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
}

// As the package wants it for its WebSocket option.
export class TappedWebSocket extends WebSocket {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", event => {
      if (event.data instanceof ArrayBuffer) note("down", new Uint8Array(event.data));
    });
  }

  send(data) {
    note("up", bytesOf(data));
    super.send(data);
  }
}

// As a hex dump has it: offset, eight bytes, and what of them can be read.
export function dump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const row = [...bytes.subarray(at, at + 8)];
    const hex = row.map(byte => byte.toString(16).padStart(2, "0")).join(" ").padEnd(23);
    const text = row.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex}  ${text}`);
  }
  return lines.join("\n");
}
