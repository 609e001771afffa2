import type { MonotonicMs, Now, WallMs } from "../core/units.js";

/** The only way to the time, for everything between the core and `main`. */
export interface Clock {
  now(): Now;
  monotonic(): MonotonicMs;
  wall(): WallMs;
  /**
   * Calls `f` once, at or after `at`. Returns what cancels it. Never calls before this method has returned.
   * Waking early is allowed: who is called checks the time.
   */
  wakeAt(at: MonotonicMs, f: () => void): () => void;
}
