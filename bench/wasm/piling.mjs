// A WebSocket that cannot be held back, and tells how much came: so that an answer is there as a whole, encrypted, before it is read.

/** piled.bytes: what came since it was last set to 0. */
export function pilingUp(Inner) {
  const piled = { bytes: 0 };
  class Piling {
    constructor(url, protocols) {
      this.inner = new Inner(url, protocols);
      for (const event of ['open', 'message', 'error', 'close']) {
        this.inner[`on${event}`] = what => {
          piled.bytes += what.data?.byteLength ?? 0;
          this[`on${event}`]?.(what);
        };
      }
    }
    set binaryType(type) { this.inner.binaryType = type; }
    get readyState() { return this.inner.readyState; }
    get bufferedAmount() { return this.inner.bufferedAmount; }
    send(bytes) { this.inner.send(bytes); }
    close(code) { this.inner.close(code); }
  }
  return { Piling, piled };
}
