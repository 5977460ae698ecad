// Things in keys. One job: a number for each function or object, the same as long as it lives.
const identities = new WeakMap<object, number>();
let identitiesGiven = 0;

export function identity(thing: object | undefined): number {
  if (!thing) return 0;
  let known = identities.get(thing);
  if (!known) identities.set(thing, (known = ++identitiesGiven));
  return known;
}
