import { expect } from "chai";
import fc from "fast-check";
import { OffsetRanges } from "../../../src/core/offset-ranges.js";
import { offset, type Offset } from "../../../src/core/units.js";

function setOf(ranges: OffsetRanges): number[] {
  return ranges.runs().flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

describe("OffsetRanges", () => {
  it("is the same as a plain set, whatever is added and removed", () => {
    const change = fc.record({ add: fc.boolean(), first: fc.integer({ min: 1, max: 40 }), length: fc.nat({ max: 10 }) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const ranges = new OffsetRanges();
        const model = new Set<number>();
        for (const { add, first, length } of changes) {
          let hit = 0;
          for (let at = first; at <= first + length; at++) {
            if (model.has(at)) hit++;
            if (add) model.add(at);
            else model.delete(at);
          }
          if (add) ranges.add(offset(first), offset(first + length));
          else expect(ranges.remove(offset(first), offset(first + length))).to.equal(hit);
        }
        const expected = [...model].sort((a, b) => a - b);
        expect(setOf(ranges)).to.deep.equal(expected);
        expect(ranges.size).to.equal(expected.length);
        expect(ranges.min).to.equal(expected[0]);
        expect(ranges.max).to.equal(expected[expected.length - 1]);
        for (let at = 0; at <= 55; at++) expect(ranges.has(offset(at))).to.equal(model.has(at));
        const runs = ranges.runs();
        runs.slice(1).forEach((run, i) => { expect(run.first, "runs touch").to.be.greaterThan((runs[i]?.last ?? 0) + 1); });
      }),
      { numRuns: 500 },
    );
  });

  it("says what lies within a range and what is missing there", () => {
    const ranges = new OffsetRanges();
    ranges.add(offset(3), offset(5));
    ranges.add(offset(8), offset(9));
    expect(ranges.within(offset(4), offset(8))).to.deep.equal([{ first: 4, last: 5 }, { first: 8, last: 8 }]);
    expect(ranges.missing(offset(1), offset(10))).to.deep.equal([{ first: 1, last: 2 }, { first: 6, last: 7 }, { first: 10, last: 10 }]);
    expect(ranges.missing(offset(3), offset(5))).to.deep.equal([]);
  });

  it("joins runs that come to touch", () => {
    const ranges = new OffsetRanges();
    ranges.add(offset(1), offset(2));
    ranges.add(offset(5), offset(6));
    ranges.add(offset(3), offset(4));
    expect(ranges.runs()).to.deep.equal([{ first: 1 as Offset, last: 6 as Offset }]);
  });
});
