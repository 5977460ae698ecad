// A connection between two requests. One job: to notice at once when the other end closes it, or speaks unasked.
import type { Pipe } from "./pipe.js";

/** onGone: it is of no more use. Returns how to end the rest. */
export function restOn(pipe: Pipe, onGone: () => void): () => void {
  const look = (): void => {
    try {
      while (pipe.feedNext()) continue;
      if (pipe.ended || !pipe.engine.exports.connection_quiet(pipe.handle)) return onGone();
      pipe.flush();
    } catch {
      onGone();
    }
  };
  const forget = pipe.onFail(onGone);
  pipe.hold(false);
  pipe.whenIdle = look;
  look();
  return () => {
    forget();
    pipe.whenIdle = undefined;
    pipe.hold(true);
  };
}
