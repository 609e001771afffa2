import { MinHeap } from "../min-heap.js";
import { OffsetRanges } from "../offset-ranges.js";
import type { MonotonicMs, Offset, WallMs } from "../units.js";
import { troubleKey, type Trouble } from "./trouble.js";

/** Messages that are ready to go out again, once their new counts are durable. */
export interface ReturnedGroup extends Trouble {
  readonly offsets: OffsetRanges;
  /** Not before this version of the cursor is durable: a count that was said must not be forgotten. */
  afterVersion: number;
  /** How many went out together last time; a suspect run is halved at each hand-out. Infinity: not known. */
  together: number;
}

/** Messages that wait for their retry delay. The wall time is what is stored; the monotonic one is what is obeyed. */
export interface WaitingRetry extends Trouble {
  readonly offsets: OffsetRanges;
  readonly afterVersion: number;
  readonly dueAt: MonotonicMs;
  readonly dueWallMs: WallMs;
}

/** Messages that were handed out and came back without being settled. Together with what is in flight: all that is unsettled. */
export class ReturnedMessages {
  /** Roughly by offset: oldest return first. */
  readonly groups: ReturnedGroup[] = [];
  private readonly groupByTrouble = new Map<string, ReturnedGroup>();
  private readonly waiting = new MinHeap<WaitingRetry>((entry) => entry.dueAt);
  private waitingMessages = 0;

  get waitingCount(): number {
    return this.waitingMessages;
  }

  /** When the next waiting retry is due. */
  get nextDue(): MonotonicMs | undefined {
    return this.waiting.peek()?.dueAt;
  }

  waitingRetries(): readonly WaitingRetry[] {
    return this.waiting.values();
  }

  /** Messages ready to go out again. Those with the same trouble form one group, however they came back. */
  add(trouble: Trouble, first: Offset, last: Offset, afterVersion: number, together: number): void {
    const key = troubleKey(trouble);
    let group = this.groupByTrouble.get(key);
    if (group === undefined) {
      group = { ...trouble, offsets: new OffsetRanges(), afterVersion, together };
      this.groupByTrouble.set(key, group);
      this.groups.push(group);
    }
    group.offsets.add(first, last);
    group.afterVersion = Math.max(group.afterVersion, afterVersion);
    group.together = Math.min(group.together, together);
  }

  wait(entry: WaitingRetry): void {
    this.waiting.push(entry);
    this.waitingMessages += entry.offsets.size;
  }

  /** Makes the retries that are due ready. */
  release(now: MonotonicMs): void {
    for (let entry = this.waiting.peek(); entry !== undefined && entry.dueAt <= now; entry = this.waiting.peek()) {
      this.waiting.pop();
      this.waitingMessages -= entry.offsets.size;
      for (let i = 0; i < entry.offsets.runCount; i++) {
        const { first, last } = entry.offsets.run(i);
        this.add(entry, first, last, entry.afterVersion, Infinity);
      }
    }
  }

  /** Takes messages out of a group, because they go out or are gone. */
  remove(group: ReturnedGroup, first: Offset, last: Offset): number {
    const removed = group.offsets.remove(first, last);
    if (group.offsets.isEmpty) {
      this.groups.splice(this.groups.indexOf(group), 1);
      this.groupByTrouble.delete(troubleKey(group));
    }
    return removed;
  }

  /** Takes out what of these is ready or waits, since it is settled or gone; says which that was. */
  takeOut(offsets: OffsetRanges): OffsetRanges {
    const taken = new OffsetRanges();
    for (const { first, last } of offsets.runs()) taken.addAll(this.takeOutReady(first, last));
    let emptied = false;
    for (const waiting of this.waiting.values()) {
      for (const run of waiting.offsets.runs().flatMap(({ first, last }) => offsets.within(first, last))) {
        taken.add(run.first, run.last);
        this.waitingMessages -= waiting.offsets.remove(run.first, run.last);
      }
      emptied ||= waiting.offsets.isEmpty;
    }
    if (emptied) this.waiting.remove((entry) => entry.offsets.isEmpty);
    return taken;
  }

  private takeOutReady(first: Offset, last: Offset): OffsetRanges {
    const taken = new OffsetRanges();
    for (const group of [...this.groups]) {
      for (const run of group.offsets.within(first, last)) {
        taken.add(run.first, run.last);
        this.remove(group, run.first, run.last);
      }
    }
    return taken;
  }
}

/** How many of a suspect group go out together: half of it, and half of what went out last time. */
export function suspectLimit(group: ReturnedGroup): number {
  return Math.max(1, Math.floor(Math.min(group.offsets.size, group.together) / 2));
}
