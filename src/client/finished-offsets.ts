import type { OffsetRange } from "../../generated/tidemark/v1/message.js";
import type { DeliveryRange } from "../../generated/tidemark/v1/subscribe.js";
import { safeNumber } from "./safe-number.js";

/** What the broker takes in `open.done`. */
const RUNS_MAX = 1_000;

interface Run {
  first: number;
  last: number;
}

/**
 * Offsets that the application has acked and that are not known to be on disk, as runs: acks mostly come in order, and many
 * of them before the broker says how far the disk is. The highest ones, when there are too many runs.
 */
export class FinishedOffsets {
  /** Ascending, with a gap between neighbours: never across an offset that is not in here, since it may be somebody else's. */
  private readonly runsNow: Run[] = [];
  private committed = 0;

  /** Everything up to it is on disk, as far as was heard. */
  get committedOffset(): number {
    return this.committed;
  }

  add(offset: number): void {
    const runs = this.runsNow;
    const newest = runs[runs.length - 1];
    if (newest !== undefined && offset === newest.last + 1) newest.last = offset;
    else if (newest === undefined || offset > newest.last) runs.push({ first: offset, last: offset });
    else this.insert(offset);
    if (runs.length > RUNS_MAX) runs.shift();
  }

  /** It comes again, so the ack did not hold. */
  delete(offset: number): void {
    const newest = this.runsNow[this.runsNow.length - 1];
    // What is delivered is mostly new.
    if (newest === undefined || offset > newest.last) return;
    this.remove(offset, offset);
  }

  /** These come again, or may: the acks of them did not hold. */
  deleteRange(range: DeliveryRange): void {
    const first = safeNumber(range.first, "first");
    this.remove(first, Math.max(first, safeNumber(range.last, "last")));
  }

  /** The subscriber was moved: what was acked before says nothing any more. */
  clear(): void {
    this.runsNow.length = 0;
    this.committed = 0;
  }

  /** Everything up to it is on disk. */
  confirmThrough(committedOffset: bigint): void {
    this.committed = Math.max(this.committed, safeNumber(committedOffset, "committed_offset"));
    this.remove(0, this.committed);
  }

  /** As `open.done` takes them. */
  runs(): OffsetRange[] {
    return this.runsNow.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) }));
  }

  /** Somewhere below the newest: joins the neighbours that it touches. */
  private insert(offset: number): void {
    const runs = this.runsNow;
    const at = this.indexOf(offset);
    const above = runs[at];
    if (above !== undefined && above.first <= offset) return;
    const below = runs[at - 1];
    const touchesBelow = below?.last === offset - 1;
    const touchesAbove = above?.first === offset + 1;
    if (touchesBelow && touchesAbove) {
      below.last = above.last;
      runs.splice(at, 1);
    } else if (touchesBelow) below.last = offset;
    else if (touchesAbove) above.first = offset;
    else runs.splice(at, 0, { first: offset, last: offset });
  }

  private remove(first: number, last: number): void {
    const runs = this.runsNow;
    const from = this.indexOf(first);
    let through = from;
    const left: Run[] = [];
    for (let run = runs[through]; run !== undefined && run.first <= last; run = runs[++through]) {
      if (run.first < first) left.push({ first: run.first, last: first - 1 });
      if (run.last > last) left.push({ first: last + 1, last: run.last });
    }
    if (through > from) runs.splice(from, through - from, ...left);
  }

  /** The first run that does not end before an offset. */
  private indexOf(offset: number): number {
    const runs = this.runsNow;
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle]?.last ?? Infinity) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
