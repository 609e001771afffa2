import { LIMITS } from "../core/limits.js";
import { monotonicMs, offset } from "../core/units.js";
import type { MonotonicMs, Offset } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import { LogCorrupt } from "../ports/log.js";
import type { Log } from "../ports/log.js";
import type { Turns } from "../ports/turns.js";
import { EventCounts } from "./event-counts.js";
import { readHeaders } from "./log-headers.js";
import type { Alarm, Scheduler } from "./scheduler.js";

/** An index that nobody asked for so long is let go of; the next who asks has it counted anew. */
const KEPT_UNUSED_MS = 5 * 60_000;
/** A count that takes long is followed by a short one of what came meanwhile; this often at most. */
const PASSES_MAX = 4;

/** What an index counts, and by which clock. */
export interface EventIndexParts {
  readonly log: Log;
  /** The oldest message that is there for readers, as of now. */
  readonly first: () => Offset;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly turns: Turns;
  readonly journal: Journal;
}

/** The counts of the messages `from..next - 1`. */
interface Counted {
  readonly counts: EventCounts;
  from: Offset;
  next: Offset;
}

/**
 * How many messages of each event a queue has. Nobody pays for it but who asks: it is counted from the headers of chunks when it
 * is first asked for, and brought up to date by the headers of what came and went since. Messages of a damaged header are not
 * in it.
 */
export class EventIndex {
  private counted: Counted | undefined;
  /** When the log was looked at for what is in it. */
  private asOf: MonotonicMs | undefined;
  private counting: Promise<void> | undefined;
  private readonly unused: Alarm;

  constructor(private readonly parts: EventIndexParts) {
    this.unused = parts.scheduler.alarm(() => {
      if (this.counting === undefined) this.forget();
      else this.keep();
    });
  }

  /** The counts as of at most LIMITS.eventIndexAgeMs ago, to be read in the same turn. Who comes while others wait shares their count. */
  async current(): Promise<EventCounts> {
    this.keep();
    if (!this.isFresh()) {
      await this.counting;
      if (!this.isFresh()) await (this.counting ??= this.count());
    }
    if (this.counted === undefined) throw new Error("an event index was let go of while it was wanted");
    return this.counted.counts;
  }

  /** Lets go of what is counted, and of the alarm. */
  forget(): void {
    this.unused.clear();
    this.counted = undefined;
    this.asOf = undefined;
  }

  private isFresh(): boolean {
    return this.asOf !== undefined && this.parts.clock.monotonic() - this.asOf < LIMITS.eventIndexAgeMs;
  }

  private keep(): void {
    this.unused.set(monotonicMs(this.parts.clock.monotonic() + KEPT_UNUSED_MS));
  }

  private async count(): Promise<void> {
    try {
      for (let pass = 0; pass < PASSES_MAX && !this.isFresh(); pass++) {
        const began = this.parts.clock.monotonic();
        await this.catchUp();
        this.asOf = began;
      }
    } catch (error) {
      this.forget();
      throw error;
    } finally {
      this.counting = undefined;
    }
  }

  /** Brings the counts to the log as it is now. */
  private async catchUp(): Promise<void> {
    const first = this.parts.first();
    const end = this.parts.log.head().next;
    const known = this.counted;
    const kept = known !== undefined && (await this.takeOff(known, first)) && !known.counts.isStale;
    const counted = kept ? known : { counts: new EventCounts(LIMITS.eventNamesMax), from: first, next: first };
    this.counted = counted;
    await this.add(counted, end);
  }

  /** Takes off what lies before `first`. False when it is easier to count anew, or its headers are gone. */
  private async takeOff(counted: Counted, first: Offset): Promise<boolean> {
    const { log, turns } = this.parts;
    if (first - counted.from > counted.next - first) return false;
    let position = counted.from;
    try {
      for await (const chunk of readHeaders(log, position, first, turns)) {
        if (chunk.first > position) return false;
        const end = Math.min(chunk.last + 1, first);
        if (!counted.counts.takeOff(chunk, position - chunk.first, end - chunk.first)) return false;
        position = offset(end);
      }
    } catch (error) {
      if (error instanceof LogCorrupt) return false;
      throw error;
    }
    counted.from = first;
    return position >= first;
  }

  /** Counts what lies before `end` and is not counted yet. */
  private async add(counted: Counted, end: Offset): Promise<void> {
    const { log, turns, journal } = this.parts;
    while (counted.next < end) {
      try {
        for await (const chunk of readHeaders(log, counted.next, end, turns)) {
          counted.counts.add(chunk, Math.max(0, counted.next - chunk.first), chunk.count);
          counted.next = offset(chunk.last + 1);
        }
        counted.next = offset(Math.max(counted.next, end));
      } catch (error) {
        if (!(error instanceof LogCorrupt)) throw error;
        journal.warn("stored messages fail their checksum; they are not counted by event", { from: error.from, through: error.through });
        counted.next = offset(error.through + 1);
      }
    }
  }
}
