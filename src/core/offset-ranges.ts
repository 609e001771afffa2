import type { OffsetRun } from "./session.js";
import { offset, type Offset } from "./units.js";

/**
 * A set of offsets kept as sorted, disjoint, never adjacent runs. Costs follow the number of runs, not of offsets: the usual
 * life of a subscription keeps one or two.
 */
export class OffsetRanges {
  private readonly firsts: number[] = [];
  private readonly lasts: number[] = [];
  private total = 0;

  /** How many offsets are in the set. */
  get size(): number {
    return this.total;
  }

  get runCount(): number {
    return this.firsts.length;
  }

  get isEmpty(): boolean {
    return this.total === 0;
  }

  /** The lowest offset; undefined in an empty set. */
  get min(): Offset | undefined {
    return this.firsts[0] as Offset | undefined;
  }

  /** The highest offset; undefined in an empty set. */
  get max(): Offset | undefined {
    return this.lasts[this.lasts.length - 1] as Offset | undefined;
  }

  /** Run `i`, ascending; `i` is below `runCount`. */
  run(i: number): OffsetRun {
    return { first: offset(this.firsts[i] ?? 0), last: offset(this.lasts[i] ?? 0) };
  }

  /** All runs, ascending; a copy. */
  runs(): OffsetRun[] {
    return this.firsts.map((_, i) => this.run(i));
  }

  has(value: Offset): boolean {
    const i = this.runAtOrAfter(value);
    const first = this.firsts[i];
    return first !== undefined && first <= value;
  }

  /** Adds `first..last`, which may overlap what is there. */
  add(first: Offset, last: Offset): void {
    const end = this.lasts.length - 1;
    const lastEnd = this.lasts[end];
    if (lastEnd === undefined || first > lastEnd) {
      // Appending is what delivery does all day.
      if (lastEnd === first - 1) this.lasts[end] = last;
      else {
        this.firsts.push(first);
        this.lasts.push(last);
      }
      this.total += last - first + 1;
      return;
    }
    const from = this.runAtOrAfter(first - 1);
    let through = from;
    let newFirst: number = first;
    let newLast: number = last;
    let replaced = 0;
    for (; through < this.firsts.length; through++) {
      const runFirst = this.firsts[through] ?? 0;
      const runLast = this.lasts[through] ?? 0;
      if (runFirst > last + 1) break;
      newFirst = Math.min(newFirst, runFirst);
      newLast = Math.max(newLast, runLast);
      replaced += runLast - runFirst + 1;
    }
    this.firsts.splice(from, through - from, newFirst);
    this.lasts.splice(from, through - from, newLast);
    this.total += newLast - newFirst + 1 - replaced;
  }

  /** Removes whatever of `first..last` is there; says how many offsets that were. */
  remove(first: Offset, last: Offset): number {
    const from = this.runAtOrAfter(first);
    const keptFirsts: number[] = [];
    const keptLasts: number[] = [];
    let removed = 0;
    let through = from;
    for (; through < this.firsts.length; through++) {
      const runFirst = this.firsts[through] ?? 0;
      const runLast = this.lasts[through] ?? 0;
      if (runFirst > last) break;
      removed += Math.min(runLast, last) - Math.max(runFirst, first) + 1;
      if (runFirst < first) {
        keptFirsts.push(runFirst);
        keptLasts.push(first - 1);
      }
      if (runLast > last) {
        keptFirsts.push(last + 1);
        keptLasts.push(runLast);
      }
    }
    if (removed === 0) return 0;
    this.firsts.splice(from, through - from, ...keptFirsts);
    this.lasts.splice(from, through - from, ...keptLasts);
    this.total -= removed;
    return removed;
  }

  copy(): OffsetRanges {
    const copy = new OffsetRanges();
    copy.addAll(this);
    return copy;
  }

  /** Adds every run of another set. */
  addAll(other: OffsetRanges): void {
    for (let i = 0; i < other.runCount; i++) {
      const { first, last } = other.run(i);
      this.add(first, last);
    }
  }

  /** What of `first..last` is in the set, as runs. */
  within(first: Offset, last: Offset): OffsetRun[] {
    const found: OffsetRun[] = [];
    for (let i = this.runAtOrAfter(first); i < this.firsts.length; i++) {
      const runFirst = this.firsts[i] ?? 0;
      if (runFirst > last) break;
      found.push({ first: offset(Math.max(runFirst, first)), last: offset(Math.min(this.lasts[i] ?? 0, last)) });
    }
    return found;
  }

  /** What of `first..last` is not in the set, as runs. */
  missing(first: Offset, last: Offset): OffsetRun[] {
    const holes: OffsetRun[] = [];
    let from: number = first;
    for (const run of this.within(first, last)) {
      if (run.first > from) holes.push({ first: offset(from), last: offset(run.first - 1) });
      from = run.last + 1;
    }
    if (from <= last) holes.push({ first: offset(from), last });
    return holes;
  }

  /** The first run that ends at or after `value`. */
  private runAtOrAfter(value: number): number {
    let low = 0;
    let high = this.lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.lasts[middle] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
