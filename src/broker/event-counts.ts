import type { Chunk } from "../core/chunk.js";
import { offset, wallMs } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";

/** The name under which events are counted together that are not told apart. No event can have it. */
export const OTHER_EVENTS = "(other)";

/** How many messages of one event there are, and the newest of them. */
export interface EventCount {
  readonly event: string;
  readonly messageCount: number;
  readonly lastTimeMs: WallMs;
  readonly lastOffset: Offset;
}

interface Tally {
  count: number;
  lastTimeMs: WallMs;
  lastOffset: Offset;
}

/**
 * Messages counted by event, added at one end and taken off at the other. Tells a bounded number of names apart. As long as any
 * message is counted among the others no new name is told apart: what is taken off is then always counted where it was added.
 */
export class EventCounts {
  private readonly tallies = new Map<string, Tally>();
  private readonly other: Tally = emptyTally();
  private names: readonly string[] | undefined;

  /** @param namesMax how many names are told apart */
  constructor(private readonly namesMax: number) {}

  /** Most names that were told apart are gone, while others still are not: counting anew would tell more. */
  get isStale(): boolean {
    return this.other.count > 0 && this.tallies.size * 2 < this.namesMax;
  }

  /** Counts the messages `from..to - 1` of a chunk, by index. */
  add(chunk: Chunk, from: number, to: number): void {
    for (const { event, count, lastIndex } of countsIn(chunk, from, to)) {
      const tally = this.tallyFor(event);
      tally.count += count;
      // Several of a chunk's names may be among the others.
      tally.lastOffset = offset(Math.max(tally.lastOffset, chunk.first + lastIndex));
      tally.lastTimeMs = chunk.lastTimeMs;
    }
  }

  /** Takes messages off that were counted, the oldest first. False when they cannot have been: the counts mean nothing then. */
  takeOff(chunk: Chunk, from: number, to: number): boolean {
    for (const { event, count } of countsIn(chunk, from, to)) {
      const told = this.tallies.get(event);
      const tally = told ?? this.other;
      if (count > tally.count) return false;
      tally.count -= count;
      if (told?.count !== 0) continue;
      this.tallies.delete(event);
      this.names = undefined;
    }
    return true;
  }

  /** Up to `limit` events with at least one message, sorted by name, those that sort after `after`. */
  list(after: string | undefined, limit: number): readonly EventCount[] {
    this.names ??= [OTHER_EVENTS, ...this.tallies.keys()].sort();
    const found: EventCount[] = [];
    for (const event of this.names) {
      if (found.length >= limit) break;
      const { count, lastTimeMs, lastOffset } = this.tallies.get(event) ?? this.other;
      if (count > 0 && (after === undefined || event > after)) found.push({ event, messageCount: count, lastTimeMs, lastOffset });
    }
    return found;
  }

  private tallyFor(event: string): Tally {
    const known = this.tallies.get(event);
    if (known !== undefined) return known;
    if (this.other.count > 0 || this.tallies.size >= this.namesMax) return this.other;
    const tally = emptyTally();
    this.tallies.set(event, tally);
    this.names = undefined;
    return tally;
  }
}

interface CountInChunk {
  readonly event: string;
  readonly count: number;
  readonly lastIndex: number;
}

/** The events among the messages `from..to - 1` of a chunk. */
function countsIn(chunk: Chunk, from: number, to: number): readonly CountInChunk[] {
  const counts = new Uint32Array(chunk.events.length);
  const lasts = new Uint32Array(chunk.events.length);
  for (let index = from; index < to; index++) {
    const event = chunk.eventIndex[index] ?? 0;
    counts[event] = (counts[event] ?? 0) + 1;
    lasts[event] = index;
  }
  return chunk.events.map((event, i) => ({ event, count: counts[i] ?? 0, lastIndex: lasts[i] ?? 0 })).filter(({ count }) => count > 0);
}

function emptyTally(): Tally {
  return { count: 0, lastTimeMs: wallMs(0), lastOffset: offset(0) };
}
