import { AgeClock } from "../core/age-clock.js";
import type { Chunk } from "../core/chunk.js";
import { excessOf, excessThrough, isOverfull, mayExceed } from "../core/retention.js";
import type { Retention } from "../core/retention.js";
import { monotonicMs, offset } from "../core/units.js";
import type { MonotonicMs, Offset, WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import { LogCorrupt } from "../ports/log.js";
import type { QueueTally } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import { nextTurn } from "./log-headers.js";
import type { Gone } from "./purger.js";
import type { QueueLog } from "./queue-log.js";
import type { Alarm, Scheduler } from "./scheduler.js";

/** How long after a publish a pass starts; what comes meanwhile shares it. */
const PASS_AFTER_MS = 100;
/** Messages that grow too old go together with those of the same second. */
const AGE_STEP_MS = 1_000;
/** When a pass failed, or nothing can be read, another one looks after this. */
const AGAIN_AFTER_MS = 10_000;
/** Headers decided on at once: what they let go of is one commit, and one step of every subscription that is behind. */
const HEADERS_AT_ONCE = 64;

/** What a sweep works with. */
export interface SweepParts {
  readonly queue: string;
  readonly log: QueueLog;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly turns: Turns;
  readonly journal: Journal;
  readonly tally: QueueTally;
  /** Everything up to it goes anyway, since it is settled. */
  readonly settledThrough: () => Offset;
  /** Drops everything up to an offset. */
  readonly expire: (through: Offset) => Promise<Gone>;
}

/**
 * Lets go of what is beyond the bounds of a queue's retention, settled or not, the oldest messages first, slice by slice. By
 * number and size it looks a while after messages came; by age when the oldest one is due.
 */
export class RetentionSweep {
  private readonly age: AgeClock;
  private readonly alarm: Alarm;
  private armedAt = Infinity;
  private passing = false;
  private changed = false;
  private stopped = false;

  constructor(
    private retention: Retention,
    private readonly parts: SweepParts,
  ) {
    this.age = new AgeClock(parts.clock.now());
    this.alarm = parts.scheduler.alarm(() => {
      this.armedAt = Infinity;
      this.start();
    });
  }

  /** Other bounds hold from now on, or the queue was opened. */
  hold(retention: Retention): void {
    this.retention = retention;
    this.look();
  }

  /** Messages came. */
  headAdvanced(): void {
    const { maxAgeMs } = this.retention;
    // The oldest one has its time already, if there was one.
    if (maxAgeMs > 0 && !this.passing && !this.alarm.isSet) this.wakeIn(Math.max(AGE_STEP_MS, maxAgeMs));
    if (isOverfull(this.retention, this.parts.log.head())) this.look();
  }

  stop(): void {
    this.stopped = true;
    this.alarm.clear();
  }

  private look(): void {
    this.changed = true;
    if (!this.passing) this.wakeIn(PASS_AFTER_MS);
  }

  private wakeIn(ms: number): void {
    this.wakeAt(monotonicMs(this.parts.clock.monotonic() + ms));
  }

  private wakeAt(at: MonotonicMs): void {
    if (this.stopped || at >= this.armedAt) return;
    this.armedAt = at;
    this.alarm.set(at);
  }

  private start(): void {
    if (this.passing || this.stopped) return;
    this.passing = true;
    this.changed = false;
    this.run().then(
      () => {
        this.passing = false;
        if (this.changed) this.wakeIn(PASS_AFTER_MS);
      },
      (error: unknown) => {
        this.passing = false;
        if (!this.stopped) this.parts.journal.error("messages beyond the bounds of a queue stay until the next pass", { queue: this.parts.queue, error });
        this.wakeIn(AGAIN_AFTER_MS);
      },
    );
  }

  private async run(): Promise<void> {
    const { monotonicMs: start } = this.parts.clock.now();
    const now = this.now();
    await this.drop(now);
    if (this.retention.maxAgeMs > 0) await this.armForAge(start, now);
  }

  private now(): WallMs {
    const { wallMs, leaptMs } = this.age.read(this.parts.clock.now());
    if (leaptMs > 0) this.parts.journal.warn("the clock has leapt ahead; messages age by it only if it stays there", { queue: this.parts.queue, leaptMs: Math.round(leaptMs) });
    return wallMs;
  }

  private async drop(now: WallMs): Promise<void> {
    const { log, tally, turns } = this.parts;
    let from = log.head().first;
    while (!this.stopped && mayExceed(this.retention, log.head())) {
      const headers = await this.headers(from);
      const through = excessThrough(headers, excessOf(this.retention, log.head(), now));
      if (through === undefined || through < from) return;
      if (this.retention.mode === "LOG" || through > this.parts.settledThrough()) {
        const gone = await this.parts.expire(through);
        tally.droppedMessages += gone.messages;
        tally.droppedBytes += gone.bytes;
      }
      if (through < (headers[headers.length - 1]?.last ?? 0)) return;
      from = offset(through + 1);
      await nextTurn(turns);
    }
  }

  /** @param start the same moment as `now`: the pass took its time */
  private async armForAge(start: MonotonicMs, now: WallMs): Promise<void> {
    const { first, next } = this.parts.log.head();
    if (first >= next) return;
    const [oldest] = await this.headers(first);
    const dueIn = oldest === undefined ? AGAIN_AFTER_MS : oldest.lastTimeMs + this.retention.maxAgeMs + 1 - now;
    this.wakeAt(monotonicMs(start + Math.max(AGE_STEP_MS, dueIn)));
    if (this.age.settlesAt !== undefined) this.wakeAt(this.age.settlesAt);
  }

  /** The first headers from an offset on that can be read: what cannot goes with what lies behind it. */
  private async headers(from: Offset): Promise<readonly Chunk[]> {
    const { log } = this.parts;
    for (let next: number = from; next < log.head().next; ) {
      try {
        return await log.headers(offset(next), HEADERS_AT_ONCE);
      } catch (error) {
        if (!(error instanceof LogCorrupt)) throw error;
        next = error.through + 1;
      }
    }
    return [];
  }
}
