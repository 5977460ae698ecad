// Just enough HTTP to count the bytes of an answer: for clients that have a connection and nothing else.

/** write: sends text. Whoever has the connection calls take with what comes, broken when it ends. */
export function plainHttp(host, write) {
  let asked; // { head, left, bytes, resolve, reject } of the answer that is awaited
  return {
    get: path => new Promise((resolve, reject) => {
      asked = { head: '', left: undefined, bytes: 0, resolve, reject };
      write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    }),
    take(piece) {
      let body = piece.length;
      if (asked.left === undefined) {
        asked.head += String.fromCharCode(...piece.subarray(0, 1024));
        const end = asked.head.indexOf('\r\n\r\n') + 4;
        asked.left = Number(/^content-length: (\d+)/im.exec(asked.head)[1]); // a head comes as a whole here
        body -= end;
      }
      asked.left -= body;
      asked.bytes += body;
      if (asked.left <= 0) asked.resolve(asked.bytes);
    },
    broken: () => asked?.reject(new Error('closed midway')),
  };
}
