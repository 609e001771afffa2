import type { Chunk } from "../core/chunk.js";
import type { EventFilter } from "../core/event-filter.js";
import { FilterHistory } from "../core/subscription/filter-history.js";
import { LoadedChunk } from "../core/subscription/loaded-chunks.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Journal } from "../ports/journal.js";
import type { Turns } from "../ports/turns.js";
import { readHeaders } from "./log-headers.js";
import type { QueueLog } from "./queue-log.js";
import type { QueueTail } from "./tail-cache.js";

/** Chunks that one asking reads at most; a longer log is counted on by those who ask next. */
const CHUNKS_AT_ONCE_MAX = 16_384;

/**
 * How many messages ahead of a subscription its filter takes. Backlog is these plus what was looked at and is neither settled
 * nor in flight.
 *
 * Without a filter this is arithmetic, but for copies of dead letters, which are for one subscriber each. With one, or with
 * copies ahead, a count of the stretch `from..through` follows the subscription at one end
 * and the head at the other, over chunks that are in memory anyway; only what is not is read, headers only, once.
 */
export class BacklogCounter {
  /** The same ahead of the subscription, whatever was before. */
  private readonly filters: FilterHistory;
  private from: number;
  private through: number;
  private count = 0;
  private counting: Promise<void> | undefined;
  /** The chunks that the subscription was handed and has not passed: `next` only moves through these. */
  private loaded: readonly Chunk[] = [];

  constructor(
    private readonly subscriber: string,
    private readonly filter: EventFilter,
    private readonly log: QueueLog,
    private readonly tail: QueueTail,
    private readonly turns: Turns,
    private readonly journal: Journal,
    next: Offset,
  ) {
    this.filters = new FilterHistory(filter);
    this.from = next;
    this.through = next - 1;
  }

  /** The subscription, which stands at `next`, is handed these chunks. */
  saw(chunks: readonly Chunk[], next: Offset): void {
    if (this.takesAll(next)) return;
    this.follow(next, this.log.head().next);
    this.loaded = [...this.loaded.filter((chunk) => chunk.last >= next), ...chunks];
  }

  /**
   * Matching messages from `next` to the head, as far as they have been counted. What has to be read first is read in the
   * background and is in the next answer.
   */
  ahead(next: Offset): number {
    const head = this.log.head();
    if (this.takesAll(next)) return Math.max(0, head.next - Math.max(next, head.first));
    this.follow(offset(Math.max(next, head.first)), head.next);
    if (this.through < head.next - 1) this.counting ??= this.readOn();
    return this.count;
  }

  /** The same, after counting to the head of now, or as far as one asking goes. */
  async counted(next: Offset): Promise<number> {
    this.ahead(next);
    if (this.counting !== undefined) await this.counting;
    return this.ahead(next);
  }

  /** How many of the messages `next..last` match, as far as that is known without reading. Also of messages that are hidden. */
  within(next: Offset, last: Offset): number | undefined {
    if (this.takesAll(next) || next > last) return Math.max(0, last - next + 1);
    this.follow(next, this.log.head().next);
    if (this.from > next) return undefined;
    let count = this.count;
    for (let at = last + 1; at <= this.through; ) {
      const chunk = this.inMemory(offset(at));
      if (chunk === undefined) return undefined;
      count -= this.matching(chunk, at, Math.min(chunk.last, this.through));
      at = chunk.last + 1;
    }
    return this.through < last ? undefined : count;
  }

  /** The same by chunk headers, which are read. Undefined when they cannot be. */
  async read(next: Offset, last: Offset): Promise<number | undefined> {
    let count = 0;
    try {
      for await (const chunk of readHeaders(this.log, next, offset(last + 1), this.turns)) count += this.matching(chunk, Math.max(next, chunk.first), Math.min(last, chunk.last));
      return count;
    } catch (error) {
      this.journal.warn("it cannot be counted what a subscriber loses", { subscriber: this.subscriber, from: next, through: last, error });
      return undefined;
    }
  }

  /** Every message from `next` on is for this subscriber. */
  private takesAll(next: Offset): boolean {
    return this.filter.takesEverything && next > this.log.copiesThrough;
  }

  /** Moves both ends as far as chunks in memory allow. */
  private follow(next: Offset, logEnd: Offset): void {
    if (next > this.through + 1) {
      this.from = next;
      this.through = next - 1;
      this.count = 0;
    }
    while (this.from < next) {
      const chunk = this.inMemory(offset(this.from));
      if (chunk === undefined) break;
      const last = Math.min(next - 1, chunk.last);
      this.count -= this.matching(chunk, this.from, last);
      this.from = last + 1;
    }
    if (this.from < next) {
      // Passed over what is no longer at hand: start again from here.
      this.from = next;
      this.through = next - 1;
      this.count = 0;
    }
    if (this.counting !== undefined) return;
    while (this.through < logEnd - 1) {
      const chunk = this.tail.find(offset(this.through + 1));
      if (chunk === undefined) return;
      this.take(chunk);
    }
  }

  private async readOn(): Promise<void> {
    const until = this.log.head().next;
    let left = CHUNKS_AT_ONCE_MAX;
    try {
      for await (const chunk of readHeaders(this.log, offset(this.through + 1), until, this.turns)) {
        // The count started again elsewhere in the meantime; who asks next reads on from there.
        if (chunk.first > this.through + 1 || left-- === 0) break;
        if (chunk.last > this.through) this.take(chunk);
      }
    } catch (error) {
      this.journal.warn("a backlog cannot be counted", { subscriber: this.subscriber, from: this.through + 1, error });
    }
    this.counting = undefined;
  }

  private take(chunk: Chunk): void {
    const first = Math.max(chunk.first, this.through + 1);
    this.count += this.matching(chunk, first, chunk.last);
    this.through = chunk.last;
  }

  private inMemory(at: Offset): Chunk | undefined {
    return this.loaded.find((chunk) => chunk.first <= at && at <= chunk.last) ?? this.tail.find(at);
  }

  private matching(chunk: Chunk, first: number, last: number): number {
    if (this.filter.takesEverything && chunk.addressee === undefined) return last - first + 1;
    const view = new LoadedChunk(chunk, this.filters, this.subscriber);
    if (view.takesNothing) return 0;
    let count = 0;
    for (let index = first - chunk.first; index <= last - chunk.first; index++) if (view.takes(index)) count++;
    return count;
  }
}
