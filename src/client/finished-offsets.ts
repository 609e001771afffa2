import type { OffsetRange } from "../../generated/tidemark/v1/message.js";
import type { DeliveryRange } from "../../generated/tidemark/v1/subscribe.js";
import { safeNumber } from "./safe-number.js";

/** How many are remembered: more than a session usually holds at once. */
const OFFSETS_MAX = 10_000;
/** What the broker takes in `open.done`. */
const RUNS_MAX = 1_000;

/** Offsets that the application has acked and that are not known to be on disk; the newest, when there are too many. */
export class FinishedOffsets {
  /** In the order in which they were acked. */
  private readonly offsets = new Set<number>();
  private committed = 0;

  /** Everything up to it is on disk, as far as was heard. */
  get committedOffset(): number {
    return this.committed;
  }

  add(offset: number): void {
    this.offsets.add(offset);
    if (this.offsets.size <= OFFSETS_MAX) return;
    const [oldest] = this.offsets;
    if (oldest !== undefined) this.offsets.delete(oldest);
  }

  /** It comes again, so the ack did not hold. */
  delete(offset: number): void {
    this.offsets.delete(offset);
  }

  /** These come again, or may: the acks of them did not hold. */
  deleteRange(range: DeliveryRange): void {
    const first = safeNumber(range.first, "first");
    const last = Math.max(first, safeNumber(range.last, "last"));
    for (const offset of this.offsets) if (first <= offset && offset <= last) this.offsets.delete(offset);
  }

  /** Everything up to it is on disk. What was acked ahead of its turn may stay a while; to say it again does no harm. */
  confirmThrough(committedOffset: bigint): void {
    this.committed = Math.max(this.committed, safeNumber(committedOffset, "committed_offset"));
    for (const offset of this.offsets) {
      if (offset > this.committed) return;
      this.offsets.delete(offset);
    }
  }

  /** As `open.done` takes them. Never across an offset that is not in here: that one may be somebody else's. */
  runs(): OffsetRange[] {
    const runs: { first: bigint; last: bigint }[] = [];
    for (const offset of [...this.offsets].sort((a, b) => a - b)) {
      const open = runs[runs.length - 1];
      if (open !== undefined && open.last + 1n === BigInt(offset)) open.last = BigInt(offset);
      else runs.push({ first: BigInt(offset), last: BigInt(offset) });
    }
    return runs.slice(-RUNS_MAX);
  }
}
