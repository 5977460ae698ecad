// The module as it is, without the package around it: its functions with bytes and texts for arguments.
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

const utf8 = new TextEncoder();

// file: build/wasm/atlas.wasm; roots: roots.bin beside it, or undefined.
export function load(file, roots) {
  let exports;
  const view = (at, length) => new Uint8Array(exports.memory.buffer, at >>> 0, length >>> 0);
  const env = {
    entropy: (at, length) => { randomFillSync(view(at, length)); },
    now: () => Math.floor(Date.now() / 1000),
    log: (at, length) => { process.stderr.write(view(at, length)); },
  };
  exports = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), { env }).exports;
  exports._initialize?.();

  // Where these bytes lie now; the module's from then on.
  const put = bytes => {
    const at = exports.alloc(bytes.length);
    if (!at) throw new Error('no memory');
    view(at, bytes.length).set(bytes);
    return at;
  };
  // A buffer or a text becomes two arguments, a Fixed or null one, all else is a number.
  const call = (name, ...given) => {
    const lent = [];
    const words = given.flatMap(one => {
      if (typeof one === 'string') one = utf8.encode(one);
      if (one instanceof Fixed) return one.bytes ? [lent[lent.push(put(one.bytes)) - 1]] : [0];
      if (!(one instanceof Uint8Array)) return [one];
      return [lent[lent.push(put(one)) - 1], one.length];
    });
    const result = exports[name](...words);
    lent.forEach(exports.release);
    return result;
  };
  const answer = () => Buffer.from(view(exports.answer_at(), exports.answer_len()));
  if (roots) {
    const bytes = readFileSync(roots);
    if (!exports.roots_load(put(bytes), bytes.length)) throw new Error(String(answer()));
  }
  return { call, answer };
}

// Bytes of a length that both sides know; null: none.
export class Fixed {
  constructor(bytes) { this.bytes = bytes ?? null; }
}
