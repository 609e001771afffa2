import type { EventFilter } from "../core/event-filter.js";
import { LIMITS } from "../core/limits.js";
import { OffsetRanges } from "../core/offset-ranges.js";
import type { OffsetRun } from "../core/session.js";
import { FilterHistory } from "../core/subscription/filter-history.js";
import { LoadedChunk } from "../core/subscription/loaded-chunks.js";
import type { StandingPosition } from "../core/subscription/seeking.js";
import type { Chunk } from "../core/chunk.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import type { Log } from "../ports/log.js";
import type { Turns } from "../ports/turns.js";
import { readableHeaders } from "./log-headers.js";
import type { Destination } from "./seek-target.js";

/** A subscriber that is, or would be, moved. */
export interface Move {
  readonly subscriber: string;
  readonly before: StandingPosition;
  /** The filter of now: it holds for everything beyond the destination. */
  readonly filter: EventFilter;
  readonly to: Destination;
  /** The oldest message that is there. */
  readonly first: Offset;
  /** What has expired by then comes neither way. */
  readonly nowMs: WallMs;
}

/** What a move brings back and passes over, and what was settled beyond the floor before it. */
export interface MoveCount {
  readonly repeatedCount: number;
  readonly skippedCount: number;
  readonly settledBefore: readonly OffsetRun[];
}

/** Holds where a subscriber stood against the headers between there and where it goes. What cannot be read counts for nothing. */
export async function countMove(move: Move, log: Log, turns: Turns): Promise<MoveCount> {
  const { before, to, first } = move;
  const from = Math.max(first, Math.min(before.floor, to.after) + 1);
  const until = Math.max(before.next, to.after + 1, before.claimedThrough + 1, (to.settled.max ?? 0) + 1);
  const count = new Count(move);
  for await (const chunk of readableHeaders(log, offset(from), () => offset(until), turns)) {
    count.take(chunk, Math.max(from, chunk.first), Math.min(chunk.last, until - 1));
  }
  return { repeatedCount: count.repeated, skippedCount: count.skipped, settledBefore: count.settledBefore() };
}

class Count {
  repeated = 0;
  skipped = 0;
  private readonly unsettled = new OffsetRanges();
  private readonly filters: FilterHistory;

  constructor(private readonly move: Move) {
    this.filters = new FilterHistory(move.filter);
  }

  take(chunk: Chunk, first: number, last: number): void {
    const { subscriber, before, to, nowMs } = this.move;
    const was = new LoadedChunk(chunk, before.filters, subscriber);
    const is = new LoadedChunk(chunk, this.filters, subscriber);
    for (let index = first - chunk.first; index <= last - chunk.first; index++) {
      const at = offset(chunk.first + index);
      const isGone = is.isExpired(index, nowMs);
      const wasLeft = was.takes(index) && !before.isSettled(at, chunk.laneHash?.[index] ?? 0n);
      const isLeft = at > to.after && is.takes(index) && !to.settled.has(at);
      if (wasLeft && !isLeft && !isGone) this.skipped++;
      else if (isLeft && !wasLeft && !isGone) this.repeated++;
      if (wasLeft) this.unsettled.add(at, at);
    }
  }

  settledBefore(): readonly OffsetRun[] {
    const { floor, next, claimedThrough } = this.move.before;
    return this.unsettled.missing(offset(floor + 1), offset(Math.max(next - 1, claimedThrough))).slice(0, LIMITS.positionRunsMax);
  }
}
