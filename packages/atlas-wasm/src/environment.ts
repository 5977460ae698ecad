// Where this code runs. One job: the few facts that rules depend on.

/** As bundlers replace it, and as Node.js has it. */
export function isProduction(): boolean {
  try {
    return process.env.NODE_ENV === "production";
  } catch {
    return false;
  }
}

export const isLoopback = (host: string): boolean => /^(localhost|.*\.localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(host);

/** An option that switches something: a text from a configuration file, "false" say, would seem true. */
export function flag(given: boolean | undefined, what: string): boolean | undefined {
  if (given === undefined || typeof given === "boolean") return given;
  throw new TypeError(`${what} must be true or false, not ${JSON.stringify(given)}`);
}

/** The page's address, or nothing where there is no page. */
export const pageUrl = (): string | undefined => (typeof location === "object" ? location.href : undefined);

/** A module of Node.js. Where its name stands in a call of import(), bundlers that know no such comments look for it. */
export const nodeModule = <T>(name: string): Promise<T> => import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`) as Promise<T>;
