// What cases say about what they see.

export class Failed extends Error {}

const show = value => {
  try {
    return typeof value === 'function' ? String(value) : JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
};

export function ok(value, what) {
  if (!value) throw new Failed(`not so: ${what}`);
}

export function equal(actual, expected, what = 'the value') {
  if (!Object.is(actual, expected) && show(actual) !== show(expected)) throw new Failed(`${what}: ${show(actual)}, not ${show(expected)}`);
}

/** Members of an error, or of anything: strings are equal, regular expressions match, functions are classes. */
export function like(error, expected, what = 'the error') {
  for (const [name, wanted] of Object.entries(expected)) {
    const seen = name === 'is' ? error : error?.[name];
    const good = wanted instanceof RegExp ? wanted.test(String(seen)) : typeof wanted === 'function' ? seen instanceof wanted : Object.is(seen, wanted);
    if (!good) throw new Failed(`${what}: ${name} is ${show(seen)}, not ${wanted instanceof RegExp ? wanted : show(wanted)}; all of it: ${error?.name} ${error?.code} [${error?.category}] ${error?.message}\n${error?.stack}`);
  }
  return error;
}

export async function rejects(promise, expected, what = 'the promise') {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return like(error, expected, what);
  }
  throw new Failed(`${what} was fulfilled with ${show(value)}, and should have been rejected with ${show(Object.fromEntries(Object.entries(expected).map(([k, v]) => [k, String(v)])))}`);
}

export function throws(call, expected, what = String(call)) {
  let value;
  try {
    value = call();
  } catch (error) {
    return like(error, expected, what);
  }
  throw new Failed(`${what} gave ${show(value)}, and should have thrown`);
}

/** Lets everything else run. */
export const turn = () => new Promise(resolve => setTimeout(resolve, 1));

/** Until a condition holds; its value. */
export async function until(condition, what = String(condition)) {
  const end = Date.now() + 20_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Failed(`never so: ${what}`);
    await turn();
  }
}

/** Whether it has been settled by now. */
export async function settled(promise) {
  let is = false;
  const mark = () => { is = true; };
  promise.then(mark, mark);
  await turn();
  return is;
}
