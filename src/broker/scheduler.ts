import { MinHeap } from "../core/min-heap.js";
import type { MonotonicMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";

/** Alarms that ring in one go before the event loop gets its turn again. */
const RUNG_AT_ONCE_MAX = 256;
/** Cleared alarms are left in the heap until there are more of them than this and than half of it. */
const LEFT_MAX = 256;

interface Entry {
  readonly at: MonotonicMs;
  readonly alarm: Alarm;
}

/** Everything timed in the broker: one heap, one timer of the clock. */
export class Scheduler {
  private entries = new MinHeap<Entry>((entry) => entry.at);
  /** At most so many entries are of cleared alarms. */
  private left = 0;
  private armedAt: MonotonicMs | undefined;
  private disarm: (() => void) | undefined;

  constructor(private readonly clock: Clock) {}

  /** An alarm that calls `f` when it is due. It is not set yet. `f` must not throw. */
  alarm(f: () => void): Alarm {
    return new Alarm(
      f,
      (at, alarm) => {
        this.entries.push({ at, alarm });
        this.arm();
      },
      () => {
        this.left++;
        if (this.left > LEFT_MAX && this.left * 2 > this.entries.size) this.sweep();
      },
    );
  }

  /** Lets go of the clock. Alarms set afterwards arm it again. */
  stop(): void {
    this.disarm?.();
    this.disarm = undefined;
    this.armedAt = undefined;
  }

  private arm(): void {
    const next = this.entries.peek();
    if (next === undefined || (this.armedAt !== undefined && this.armedAt <= next.at)) return;
    this.disarm?.();
    this.armedAt = next.at;
    this.disarm = this.clock.wakeAt(next.at, () => {
      this.armedAt = undefined;
      this.disarm = undefined;
      this.ring();
      this.arm();
    });
  }

  /** Lets go of cleared alarms, which may hold on to much for hours. */
  private sweep(): void {
    const { entries } = this;
    this.entries = new MinHeap((entry) => entry.at);
    this.left = 0;
    for (const entry of entries.values()) if (entry.alarm.waitsIn(entry.at)) this.entries.push(entry);
  }

  private ring(): void {
    const now = this.clock.monotonic();
    for (let rung = 0; rung < RUNG_AT_ONCE_MAX; rung++) {
      const next = this.entries.peek();
      if (next === undefined || next.at > now) return;
      this.entries.pop();
      next.alarm.reached(next.at, now);
    }
  }
}

/**
 * One thing to do later, set again and again. Setting it to a later time costs nothing: its entry in the heap is moved when it
 * comes up, so an alarm pushed out with every frame does not fill the heap.
 */
export class Alarm {
  private due: MonotonicMs | undefined;
  /** The earliest entry in the heap for this alarm; others are stale. */
  private queuedAt: MonotonicMs | undefined;

  /** Made by `Scheduler.alarm`. */
  constructor(
    private readonly f: () => void,
    private readonly queue: (at: MonotonicMs, alarm: Alarm) => void,
    private readonly wasCleared: () => void,
  ) {}

  get isSet(): boolean {
    return this.due !== undefined;
  }

  /** Rings once, at or after `at`; whatever it was set to before is forgotten. */
  set(at: MonotonicMs): void {
    this.due = at;
    if (this.queuedAt === undefined || this.queuedAt > at) {
      this.queuedAt = at;
      this.queue(at, this);
    }
  }

  clear(): void {
    if (this.due === undefined) return;
    this.due = undefined;
    this.wasCleared();
  }

  /** For the scheduler: whether the entry at `at` is still needed. If not, it is going to be removed. */
  waitsIn(at: MonotonicMs): boolean {
    if (this.due === undefined) this.queuedAt = undefined;
    return this.queuedAt === at;
  }

  /** For the scheduler: the entry at `at` came up. */
  reached(at: MonotonicMs, now: MonotonicMs): void {
    if (at !== this.queuedAt) return;
    this.queuedAt = undefined;
    if (this.due === undefined) return;
    if (this.due > now) {
      this.set(this.due);
      return;
    }
    this.due = undefined;
    this.f();
  }
}
