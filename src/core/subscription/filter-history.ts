import type { Chunk } from "../chunk.js";
import type { EventFilter } from "../event-filter.js";
import { OFFSET_MAX, type Offset } from "../units.js";

/** Messages up to an offset, behind those of the one before it, and the filter that holds for them. */
export interface FilterStretch {
  readonly through: Offset;
  readonly filter: EventFilter;
}

/**
 * Which events a subscriber takes. A new filter holds for what was never looked at; as long as something behind that is not
 * settled, the filter it was looked at with is still known.
 */
export class FilterHistory {
  /** Ascending; their last `through` lies before `next`. */
  private stretches: FilterStretch[] = [];

  constructor(private filter: EventFilter) {}

  /** For messages that were never looked at. */
  get current(): EventFilter {
    return this.filter;
  }

  /** For those that were, with another one. Empty in the usual case. */
  get earlier(): readonly FilterStretch[] {
    return this.stretches;
  }

  /** @param looked everything up to it was looked at: the filter does not hold there */
  change(filter: EventFilter, looked: Offset, floor: Offset): void {
    const known = this.stretches[this.stretches.length - 1]?.through ?? 0;
    if (looked > Math.max(floor, known)) this.stretches.push({ through: looked, filter: this.filter });
    this.filter = filter;
    this.settled(floor);
  }

  /** As of now. */
  copy(): FilterHistory {
    const copy = new FilterHistory(this.filter);
    copy.restore(this.stretches);
    return copy;
  }

  /** From a cursor. */
  restore(earlier: readonly FilterStretch[]): void {
    this.stretches = [...earlier];
  }

  /** Everything up to `floor` is settled: nobody looks there again. */
  settled(floor: Offset): void {
    if (this.stretches.length > 0) this.stretches = this.stretches.filter(({ through }) => through > floor);
  }

  /** The one that holds for a message. */
  at(at: Offset): EventFilter {
    return this.stretches.find(({ through }) => at <= through)?.filter ?? this.filter;
  }

  /** The filters that hold for `first..last`, the last one whatever lies behind. */
  within(first: Offset, last: Offset): readonly FilterStretch[] {
    const rest: FilterStretch = { through: OFFSET_MAX, filter: this.filter };
    if (this.stretches.length === 0) return [rest];
    const found: FilterStretch[] = [];
    for (const stretch of [...this.stretches, rest]) {
      if (stretch.through < first) continue;
      found.push(stretch);
      if (stretch.through >= last) break;
    }
    return found;
  }

  /** Whether any message of a chunk may be for this subscriber. */
  takesAnyOf({ first, last, events }: Chunk): boolean {
    return this.within(first, last).some(({ filter }) => events.some((event) => filter.matches(event)));
  }
}
