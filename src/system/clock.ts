import { monotonicMs, wallMs } from "../core/units.js";
import type { MonotonicMs, Now, WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";

/** A longer setTimeout would fire at once (Node keeps the delay in 31 bits); waking early is allowed, so it is cut instead. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** The clocks of this machine. Its timers do not keep the process alive. */
export class SystemClock implements Clock {
  now(): Now {
    return { monotonicMs: this.monotonic(), wallMs: this.wall() };
  }

  monotonic(): MonotonicMs {
    return monotonicMs(performance.now());
  }

  wall(): WallMs {
    return wallMs(Date.now());
  }

  wakeAt(at: MonotonicMs, f: () => void): () => void {
    const delayMs = Math.min(Math.max(0, at - performance.now()), TIMEOUT_MS_MAX);
    const timer = setTimeout(f, Math.ceil(delayMs));
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  }
}
