import fc from "fast-check";
import { EventFilter } from "../../src/core/event-filter.js";
import type { FilterStretch } from "../../src/core/subscription/filter-history.js";
import { offset } from "../../src/core/units.js";

/** Filters of before, as a cursor may have them. */
export const filterStretches: fc.Arbitrary<readonly FilterStretch[]> = fc.array(
  fc.record({
    through: fc.maxSafeNat().map(offset),
    filter: fc.array(fc.constantFrom("a", "a.*", "b.c", "**", "x-1._.Y"), { maxLength: 4 }).map((patterns) => EventFilter.parse(patterns)),
  }),
  { maxLength: 3 },
);

/** The same without what a filter remembers. */
export function patternsOf({ earlierFilters }: { readonly earlierFilters: readonly FilterStretch[] }): readonly (readonly [number, readonly string[]])[] {
  return earlierFilters.map(({ through, filter }) => [through, filter.patterns]);
}
