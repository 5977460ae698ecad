// Pages that permit no more than they must. Every case of the browser runs in one: any violation fails it.
import { equal, throws } from '../check.mjs';

export const cases = [
  {
    name: 'is in force where the cases run',
    only: 'browser',
    worker: false,
    violates: true,
    async run() {
      throws(() => globalThis.eval('1'), { is: EvalError });
    },
  },
  {
    name: 'may demand trusted types',
    only: 'browser',
    worker: false,
    fresh: true,
    page: '/trusted-types.html',
    async run(api, world) {
      const port = await world.control('tee_other', { options: ['--without-collateral'] });
      const answer = await world.at(port, { collateral: { cache: 'none' } })(world.path('/tell'), { method: 'POST', body: 'x' });
      equal((await answer.json()).text, 'x');
    },
  },
];
