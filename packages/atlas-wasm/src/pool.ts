// Connections that wait for the next request. One job: who gets which, who waits, and when one is let go.
//
//   acquire ──► an idle one │ a new one, up to the limit │ a place in the queue        release ──► the next in the queue │ idle
//
// It knows nothing of TLS: a pooled thing can be closed and watched. A busy one is never touched for somebody else's sake.
import { closedError } from "./errors.js";
import type { PoolStats } from "./types.js";

/* Timers overflow beyond. */
const LONGEST_MS = 2 ** 31 - 1;

export interface Pooled {
  /** From now on nobody uses it: onGone, when it ends by itself or speaks unasked. Returns how to stop watching. */
  rest(onGone: () => void): () => void;
  /** While it is idle it may become useless without a sign. */
  usable(): boolean;
  /** busy: something is under way on it, which fails. */
  close(busy: boolean): void;
}

export interface Wish<C extends Pooled> {
  /** Makes one; the signal says that it is no longer wanted. */
  open(cancelled: AbortSignal): Promise<C>;
  /** Whose it then is: for closeOwned. */
  owner: object;
  limit: number;
  signal?: AbortSignal | undefined;
}

export interface Lease<C extends Pooled> {
  readonly connection: C;
  /** It has served before. */
  readonly reused: boolean;
  /** Its use is over, and another may follow; idleMs: how long to keep it for that; usesMax: how many in all. */
  release(idleMs: number, usesMax: number): void;
  /** Its use is over, for good. */
  discard(): void;
}

interface Member<C extends Pooled> {
  connection: C;
  owner: object;
  uses: number;
  /** To be closed as soon as its use is over. */
  last: boolean;
  /** Set while it is idle: ends that. */
  wake: (() => void) | undefined;
}

interface Waiting<C extends Pooled> {
  wish: Wish<C>;
  give(member: Member<C>): void;
  refuse(why: unknown): void;
}

interface Lane<C extends Pooled> {
  key: string;
  members: Set<Member<C>>;
  idle: Member<C>[]; // the last was used last
  opening: Map<AbortController, Waiting<C>>; // by whose wish
  queue: Waiting<C>[];
}

export interface Pool<C extends Pooled> {
  acquire(key: string, wish: Wish<C>): Promise<Lease<C>>;
  /** Idle ones that this owner opened go now, busy ones when their use is over. */
  closeOwned(owner: object): void;
  closeAll(): void;
  stats(): PoolStats;
}

export function createPool<C extends Pooled>(changed: () => void = () => {}): Pool<C> {
  const lanes = new Map<string, Lane<C>>();

  const drop = (lane: Lane<C>, member: Member<C>, busy = false): void => {
    if (!lane.members.delete(member)) return;
    member.wake?.();
    lane.idle = lane.idle.filter(one => one !== member);
    member.connection.close(busy);
    advance(lane);
  };

  const rest = (lane: Lane<C>, member: Member<C>, idleMs: number): void => {
    const timer = setTimeout(() => drop(lane, member), Math.min(idleMs, LONGEST_MS));
    // A program that has nothing else to do may end.
    (timer as { unref?(): void }).unref?.();
    const unwatch = member.connection.rest(() => drop(lane, member));
    if (!lane.members.has(member)) return clearTimeout(timer); // it was gone already
    member.wake = () => {
      member.wake = undefined;
      clearTimeout(timer);
      unwatch();
    };
    lane.idle.push(member);
  };

  const lease = (lane: Lane<C>, member: Member<C>): Lease<C> => {
    let held = true;
    const reused = member.uses++ > 0;
    const over = (then: () => void): void => {
      if (!held) return;
      held = false;
      then();
    };
    return {
      connection: member.connection,
      reused,
      release: (idleMs, usesMax) => over(() => {
        if (member.last || member.uses >= usesMax || !lane.members.has(member)) return drop(lane, member);
        rest(lane, member, idleMs);
        advance(lane);
      }),
      discard: () => over(() => drop(lane, member)),
    };
  };

  const open = (lane: Lane<C>, asker: Waiting<C>): void => {
    const { wish } = asker;
    const control = new AbortController();
    lane.opening.set(control, asker);
    wish.open(control.signal).then(
      connection => {
        if (!lane.opening.delete(control)) return connection.close(false);
        const member: Member<C> = { connection, owner: wish.owner, uses: 0, last: false, wake: undefined };
        lane.members.add(member);
        const first = lane.queue.shift();
        if (first) first.give(member);
        else drop(lane, member); // whoever wanted it went away
        advance(lane);
      },
      (why: unknown) => {
        if (!lane.opening.delete(control)) return;
        // Its options may be why. If it was served meanwhile, this is nobody's failure.
        if (lane.queue.includes(asker)) {
          lane.queue = lane.queue.filter(one => one !== asker);
          asker.refuse(why);
        }
        advance(lane);
      },
    );
  };

  /* Idle ones to those who wait; new ones for the rest, as far as the limit goes; and none too many. */
  const advance = (lane: Lane<C>): void => {
    for (let first = lane.queue[0]; first; first = lane.queue[0]) {
      const member = lane.idle.pop();
      if (!member) break;
      member.wake?.();
      if (!member.connection.usable()) {
        lane.members.delete(member);
        member.connection.close(false);
        continue;
      }
      lane.queue.shift();
      first.give(member);
    }
    while (lane.opening.size < lane.queue.length) {
      const askers = [...lane.opening.values()];
      const next = lane.queue.find(one => !askers.includes(one));
      if (!next) break;
      if (lane.members.size + lane.opening.size >= Math.max(1, next.wish.limit)) break;
      open(lane, next);
    }
    for (const control of [...lane.opening.keys()].slice(lane.queue.length)) {
      lane.opening.delete(control);
      control.abort(closedError("nobody waits for the connection any more"));
    }
    if (!lane.members.size && !lane.opening.size && !lane.queue.length && lanes.get(lane.key) === lane) lanes.delete(lane.key);
    changed();
  };

  return {
    acquire: (key, wish) => new Promise((resolve, reject) => {
      wish.signal?.throwIfAborted();
      let lane = lanes.get(key);
      if (!lane) lanes.set(key, (lane = { key, members: new Set(), idle: [], opening: new Map(), queue: [] }));
      const here = lane;
      const leave = (): void => {
        here.queue = here.queue.filter(one => one !== waiting);
        reject(wish.signal?.reason as Error);
        advance(here);
      };
      const waiting: Waiting<C> = {
        wish,
        give(member) {
          wish.signal?.removeEventListener("abort", leave);
          resolve(lease(here, member));
        },
        refuse(why) {
          wish.signal?.removeEventListener("abort", leave);
          reject(why as Error);
        },
      };
      wish.signal?.addEventListener("abort", leave);
      here.queue.push(waiting);
      advance(here);
    }),

    closeOwned(owner) {
      for (const lane of [...lanes.values()]) {
        for (const member of [...lane.members]) {
          if (member.owner !== owner) continue;
          if (member.wake) drop(lane, member);
          else member.last = true;
        }
      }
    },

    closeAll() {
      const why = closedError("all connections were closed");
      for (const lane of [...lanes.values()]) {
        const { queue } = lane;
        lane.queue = [];
        queue.forEach(one => one.refuse(why));
        [...lane.members].forEach(member => drop(lane, member, !member.wake));
        advance(lane);
      }
    },

    stats() {
      const sum = { total: 0, idle: 0, busy: 0, connecting: 0 };
      for (const { members, idle, opening } of lanes.values()) {
        sum.idle += idle.length;
        sum.busy += members.size - idle.length;
        sum.connecting += opening.size;
      }
      return { ...sum, total: sum.idle + sum.busy + sum.connecting };
    },
  };
}
