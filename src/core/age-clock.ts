import { monotonicMs, wallMs } from "./units.js";
import type { MonotonicMs, Now, WallMs } from "./units.js";

/** How far the wall clock may run ahead of the monotonic one between two readings; more is a leap. */
const LEAP_MS = 60_000;
/** How long a leap has to stand before it is believed. */
const HOLD_MS = 600_000;

/**
 * The time by which messages age: the wall clock's, since that outlives a restart. A leap ahead of it, which would make everything
 * old at once, counts only when it has stood for ten minutes; until then time goes on from before it. One back counts at once:
 * it only keeps messages for longer.
 */
export class AgeClock {
  private behindMs = 0;
  private heldUntil: MonotonicMs | undefined;

  constructor(private last: Now) {}

  /** When a leap will be believed that is not now; undefined: there is none. */
  get settlesAt(): MonotonicMs | undefined {
    return this.heldUntil;
  }

  /** @returns the time, and whether a leap was met in this reading */
  read(now: Now): { readonly wallMs: WallMs; readonly leaptMs: number } {
    const leap = now.wallMs - this.last.wallMs - (now.monotonicMs - this.last.monotonicMs);
    this.last = now;
    if (leap > LEAP_MS) {
      this.behindMs += leap;
      this.heldUntil = monotonicMs(now.monotonicMs + HOLD_MS);
    } else if (leap < 0) {
      this.behindMs = Math.max(0, this.behindMs + leap);
    }
    if (this.behindMs === 0 || (this.heldUntil !== undefined && this.heldUntil <= now.monotonicMs)) {
      this.behindMs = 0;
      this.heldUntil = undefined;
    }
    return { wallMs: wallMs(now.wallMs - this.behindMs), leaptMs: leap > LEAP_MS ? leap : 0 };
  }
}
