import type { Turns } from "../ports/turns.js";

/** Node's event loop: the next turn is its next check phase, after the I/O that is ready. */
export class EventLoopTurns implements Turns {
  next(f: () => void): void {
    setImmediate(f);
  }
}
