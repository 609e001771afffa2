import { expect } from "chai";
import fc from "fast-check";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { OffsetRanges } from "../../../../src/core/offset-ranges.js";
import { CursorCorrupt } from "../../../../src/core/subscription/cursor-bytes.js";
import { decodeCursor, encodeCursor, type Cursor } from "../../../../src/core/subscription/cursor-codec.js";
import { filterStretches, patternsOf } from "../../../support/filter-stretches.js";
import { offset, wallMs } from "../../../../src/core/units.js";

function rangesOf(runs: readonly (readonly [number, number])[]): OffsetRanges {
  const ranges = new OffsetRanges();
  for (const [first, length] of runs) ranges.add(offset(first), offset(first + length));
  return ranges;
}

const NOTHING_CLAIMED = { lastSettled: offset(0), done: rangesOf([]), earlierFilters: [], expired: 0 };

const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 52 }), fc.nat({ max: 1_000 })), { maxLength: 20 });
const cursors: fc.Arbitrary<Cursor> = fc.record({
  next: fc.maxSafeNat().map(offset),
  unsettled: runs.map(rangesOf),
  troubles: fc.array(
    fc.record({
      offsets: runs.map(rangesOf),
      attempt: fc.integer({ min: 1, max: 1_000 }),
      deliveryCount: fc.integer({ min: 1, max: 1_000 }),
      cause: fc.constantFrom("RETRY" as const, "TIMEOUT" as const, "DISCONNECT" as const),
      dueWallMs: fc.nat({ max: 4_000_000_000_000 }).map(wallMs),
      lastReason: fc.string({ unit: "grapheme", maxLength: 40 }),
    }),
    { maxLength: 5 },
  ),
  lastSettled: fc.maxSafeNat().map(offset),
  done: runs.map(rangesOf),
  earlierFilters: filterStretches,
  expired: fc.oneof(fc.constant(0), fc.maxSafeNat()),
});


describe("the stored cursor", () => {
  it("comes back as it was", () => {
    fc.assert(
      fc.property(cursors, (cursor) => {
        const again = decodeCursor(encodeCursor(cursor));
        expect(again.next).to.equal(cursor.next);
        expect(again.expired).to.equal(cursor.expired);
        expect(again.lastSettled).to.equal(cursor.lastSettled);
        expect(again.done.runs()).to.deep.equal(cursor.done.runs());
        expect(patternsOf(again)).to.deep.equal(patternsOf(cursor));
        expect(again.unsettled.runs()).to.deep.equal(cursor.unsettled.runs());
        expect(again.troubles.map(({ offsets, ...rest }) => ({ ...rest, runs: offsets.runs() }))).to.deep.equal(
          cursor.troubles.map(({ offsets, ...rest }) => ({ ...rest, runs: offsets.runs() })),
        );
      }),
    );
  });

  it("of before there were claims is read as one without", () => {
    const bytes = encodeCursor({ next: offset(300), unsettled: rangesOf([[1, 5]]), troubles: [], ...NOTHING_CLAIMED });
    expect(decodeCursor(bytes.subarray(0, -2))).to.deep.include({ next: 300, lastSettled: 0 });
  });

  it("of before filters changed ends where they would be", () => {
    const filter = EventFilter.parse(["a.*"]);
    const cursor = { next: offset(300), unsettled: rangesOf([[1, 5]]), troubles: [], ...NOTHING_CLAIMED };
    const changed = encodeCursor({ ...cursor, earlierFilters: [{ through: offset(299), filter }] });
    expect(changed.subarray(0, encodeCursor(cursor).length)).to.deep.equal(encodeCursor(cursor));
    expect(() => decodeCursor(changed.subarray(0, -1))).to.throw(CursorCorrupt);
    expect(() => decodeCursor(Buffer.from(changed.toString("latin1").replace("a.*", "a..")))).to.throw(CursorCorrupt, "filter");
  });

  it("is a few bytes when everything but one run is settled", () => {
    expect(encodeCursor({ next: offset(1_000_000), unsettled: rangesOf([[999_000, 999]]), troubles: [], ...NOTHING_CLAIMED }).length).to.be.below(14);
  });

  it("keeps counts but drops reasons past 64 KiB of them", () => {
    const troubles = Array.from({ length: 100 }, (_, i) => ({
      offsets: rangesOf([[i * 2 + 1, 0]]),
      attempt: 2,
      deliveryCount: 1,
      cause: "RETRY" as const,
      dueWallMs: wallMs(0),
      lastReason: "x".repeat(1_024),
    }));
    const bytes = encodeCursor({ next: offset(500), unsettled: rangesOf([]), troubles, ...NOTHING_CLAIMED });
    expect(bytes.length).to.be.below(70_000);
    expect(decodeCursor(bytes).troubles.map((trouble) => trouble.attempt)).to.deep.equal(troubles.map(() => 2));
  });

  for (const [what, bytes] of [
    ["nothing", Buffer.alloc(0)],
    ["another format", Buffer.from([9, 1, 0, 0])],
    ["half a claim", encodeCursor({ next: offset(300), unsettled: rangesOf([]), troubles: [], ...NOTHING_CLAIMED }).subarray(0, -1)],
    ["half a cursor", encodeCursor({ next: offset(300), unsettled: rangesOf([[1, 5]]), troubles: [], ...NOTHING_CLAIMED }).subarray(0, 3)],
    ["bytes left over", Buffer.concat([encodeCursor({ next: offset(3), unsettled: rangesOf([]), troubles: [], ...NOTHING_CLAIMED }), Buffer.from([0])])],
    ["a number beyond 2^53", Buffer.from([1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0])],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => decodeCursor(bytes)).to.throw(CursorCorrupt);
    });
  }
});
