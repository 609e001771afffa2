import { monotonicMs, wallMs } from "../../src/core/units.js";
import type { MonotonicMs, Now, WallMs } from "../../src/core/units.js";
import type { Clock } from "../../src/ports/clock.js";

interface Wake {
  readonly at: number;
  readonly f: () => void;
}

/** A clock that moves only when a test says so. */
export class ManualClock implements Clock {
  private monotonicNow = 1_000;
  private wallNow = Date.UTC(2026, 0, 1);
  private wakes: Wake[] = [];

  now(): Now {
    return { monotonicMs: this.monotonic(), wallMs: this.wall() };
  }

  monotonic(): MonotonicMs {
    return monotonicMs(this.monotonicNow);
  }

  wall(): WallMs {
    return wallMs(this.wallNow);
  }

  wakeAt(at: MonotonicMs, f: () => void): () => void {
    const wake = { at, f };
    this.wakes.push(wake);
    return () => {
      this.wakes = this.wakes.filter((other) => other !== wake);
    };
  }

  /** Both clocks go on by `ms`; what is due on the way is called at its time, in order. */
  advance(ms: number): void {
    const end = this.monotonicNow + ms;
    for (;;) {
      const next = this.wakes.reduce<Wake | undefined>((first, wake) => (first === undefined || wake.at < first.at ? wake : first), undefined);
      if (next === undefined || next.at > end) break;
      this.wakes = this.wakes.filter((wake) => wake !== next);
      this.moveTo(Math.max(this.monotonicNow, next.at));
      next.f();
    }
    this.moveTo(end);
  }

  /** The wall clock alone jumps, as an operator or NTP may make it. */
  jumpWall(ms: number): void {
    this.wallNow += ms;
  }

  /** Calls that are waiting for their time. */
  get pendingCount(): number {
    return this.wakes.length;
  }

  private moveTo(time: number): void {
    this.wallNow += time - this.monotonicNow;
    this.monotonicNow = time;
  }
}
