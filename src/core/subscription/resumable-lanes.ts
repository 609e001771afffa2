import { offset, type Offset } from "../units.js";
import type { Lane } from "./lanes.js";

/** More lanes than this are not looked at one by one: the sweep begins where the first of them is. */
const EARLY_MAX = 256;

/**
 * Lanes with something behind that may go on, and where in the log to look for it. Most of them wait at one place, where the
 * last sweep had to stop; only those that joined since are looked at one by one, so that a step costs what has happened and
 * not how many lanes lag.
 */
export class ResumableLanes {
  private readonly lanes = new Set<Lane>();
  /** Those whose next message may lie before `swept`. */
  private readonly early = new Set<Lane>();
  /** Nothing of the others lies before it. */
  private swept: Offset = offset(0);

  get size(): number {
    return this.lanes.size;
  }

  has(lane: Lane): boolean {
    return this.lanes.has(lane);
  }

  values(): Iterable<Lane> {
    return this.lanes;
  }

  /** A lane may go on where it had to stop. */
  add(lane: Lane): void {
    if (!this.lanes.has(lane)) this.addAgain(lane);
  }

  /** A lane has to go back: its next message may lie before what was swept. */
  addAgain(lane: Lane): void {
    if (this.lanes.size === 0) this.swept = lane.resumeFrom;
    this.lanes.add(lane);
    if (lane.resumeFrom >= this.swept) return;
    this.early.add(lane);
    if (this.early.size <= EARLY_MAX) return;
    for (const { resumeFrom } of this.early) if (resumeFrom < this.swept) this.swept = resumeFrom;
    this.early.clear();
  }

  delete(lane: Lane): void {
    this.lanes.delete(lane);
    this.early.delete(lane);
  }

  clear(): void {
    this.lanes.clear();
    this.early.clear();
  }

  /** Nothing of any of them lies before it; undefined when there are none. */
  get start(): Offset | undefined {
    if (this.lanes.size === 0) return undefined;
    let start = this.swept;
    for (const lane of this.early) if (lane.resumeFrom < start) start = lane.resumeFrom;
    return start;
  }

  /** The same as near as can be known. Costs O(lanes): for when a read depends on it. */
  nearestStart(): Offset | undefined {
    let nearest: Offset | undefined;
    for (const lane of this.lanes) {
      const from = this.early.has(lane) ? lane.resumeFrom : offset(Math.max(lane.resumeFrom, this.swept));
      if (nearest === undefined || from < nearest) nearest = from;
    }
    return nearest;
  }

  /** A sweep found that nothing of them lies before `at`. */
  sweptTo(at: Offset): void {
    if (at >= this.swept) {
      this.swept = at;
      this.early.clear();
      return;
    }
    for (const lane of this.early) if (lane.resumeFrom < at) lane.resumeFrom = at;
  }
}
