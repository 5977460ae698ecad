// Bytes and texts. One job: hex and Latin-1, which the platform has no words for.

export function fromHex(hex: string, what: string): Uint8Array {
  if (hex.length % 2 || !/^[0-9a-fA-F]*$/.test(hex)) throw new TypeError(`${what} must be hex digits`);
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Bytes, one for each character; and no NUL, which separates texts. */
export const isLatin1 = (text: string): boolean => /^[\u0001-\u00ff]*$/.test(text);

/** Of a text that isLatin1. */
export function toLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export const bytesOfHexOr = (value: string | Uint8Array, what: string): Uint8Array =>
  typeof value === "string" ? fromHex(value.trim(), what) : value;

/** A URL in an error: without user, password, query and fragment, where secrets and names of machines stand. */
export function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) {
    const path = url.replace(/[?#].*/s, "");
    return /[:@]/.test(path) ? "an address that is no URL" : path;
  }
  const { protocol, host, pathname } = new URL(url);
  return protocol === "file:" ? pathname : host ? `${protocol}//${host}${pathname}` : `${protocol}…`;
}

/** Objects as compact JSON, members in their order; texts as they are. */
export const jsonText = (value: object | string): string => (typeof value === "string" ? value : JSON.stringify(value));
