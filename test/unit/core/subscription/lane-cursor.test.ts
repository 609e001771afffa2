import { expect } from "chai";
import fc from "fast-check";
import { OffsetRanges } from "../../../../src/core/offset-ranges.js";
import { CursorCorrupt, CursorWriter } from "../../../../src/core/subscription/cursor-bytes.js";
import { decodeLaneCursor, encodeLaneCursor, type LaneCursor } from "../../../../src/core/subscription/lane-cursor.js";
import { Subscription } from "../../../../src/core/subscription/subscription.js";
import { monotonicMs, offset, wallMs } from "../../../../src/core/units.js";
import { filterStretches } from "../../../support/filter-stretches.js";
import { SETTINGS } from "../../../support/subscription-harness.js";

const trouble = {
  attempt: fc.integer({ min: 1, max: 1_000 }),
  deliveryCount: fc.integer({ min: 1, max: 1_000 }),
  cause: fc.constantFrom("NEW" as const, "RETRY" as const, "TIMEOUT" as const, "DISCONNECT" as const),
  lastReason: fc.string({ unit: "grapheme", maxLength: 40 }),
};
const hash = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const NONE = { lastSettled: offset(0), done: new OffsetRanges(), earlierFilters: [], expired: 0 };
const cursors: fc.Arbitrary<LaneCursor> = fc.record({
  next: fc.maxSafeNat().map(offset),
  lanes: fc.array(fc.record({ hash, first: fc.maxSafeNat().map(offset), count: fc.nat() }), { maxLength: 5 }),
  troubles: fc.array(fc.record({ ...trouble, offset: fc.maxSafeNat().map(offset), dueWallMs: fc.nat().map(wallMs) }), { maxLength: 5 }),
  earlierFilters: filterStretches,
  expired: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  lastSettled: fc.maxSafeNat().map(offset),
  done: fc.array(fc.integer({ min: 1, max: 1_000 }), { maxLength: 5 }).map((offsets) => {
    const done = new OffsetRanges();
    for (const at of offsets) done.add(offset(at), offset(at));
    return done;
  }),
  blocked: fc.array(
    fc.record({
      hash,
      poison: fc.record({ ...trouble, reason: fc.constantFrom("MAX_ATTEMPTS" as const, "MAX_DELIVERIES" as const), holderSession: fc.string(), holderClient: fc.string() }),
    }),
    { maxLength: 5 },
  ),
});

const POISON = { attempt: 1, deliveryCount: 1, cause: "NEW" as const, lastReason: "busy", reason: "MAX_ATTEMPTS" as const, holderSession: "s", holderClient: "c" };

/** What a version before blocked lanes wrote: one lane, one message that waits for a retry. */
function oldCursor(): Buffer {
  const writer = new CursorWriter(2);
  writer.number(9);
  writer.number(1);
  writer.hash(7n);
  writer.number(3);
  writer.number(2);
  writer.number(1);
  writer.number(3);
  writer.trouble({ attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "busy" }, wallMs(5));
  return writer.finish();
}

describe("the stored cursor of lanes", () => {
  it("comes back as it was", () => {
    fc.assert(
      fc.property(cursors, (cursor) => {
        expect(decodeLaneCursor(encodeLaneCursor(cursor))).to.deep.equal(cursor);
      }),
    );
  });

  it("of the format before is read: nothing is blocked in it", () => {
    expect(decodeLaneCursor(oldCursor())).to.deep.equal({
      next: 9,
      lanes: [{ hash: 7n, first: 3, count: 2 }],
      troubles: [{ offset: 3, attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "busy", dueWallMs: 5 }],
      blocked: [],
      ...NONE,
    });
  });

  it("keeps what is blocked but drops words past 64 KiB of them", () => {
    const blocked = Array.from({ length: 100 }, (_, i) => ({ hash: BigInt(i), poison: { ...POISON, lastReason: "x".repeat(1_024) } }));
    const bytes = encodeLaneCursor({ next: offset(500), lanes: [], troubles: [], ...NONE, blocked });
    expect(bytes.length).to.be.below(70_000);
    expect(decodeLaneCursor(bytes).blocked.map(({ poison }) => poison.reason)).to.deep.equal(blocked.map(() => "MAX_ATTEMPTS"));
  });

  it("is refused when it blocks a lane that has nothing unsettled", () => {
    const bytes = encodeLaneCursor({ next: offset(5), lanes: [], troubles: [], ...NONE, blocked: [{ hash: 1n, poison: POISON }] });
    expect(() => Subscription.restore({ ...SETTINGS, ordered: true }, bytes, offset(4), { monotonicMs: monotonicMs(0), wallMs: wallMs(0) })).to.throw(CursorCorrupt);
  });

  for (const [what, bytes] of [
    ["of a format that nobody wrote", Buffer.from([9, 1, 0, 0, 0])],
    ["cut short in what is blocked", encodeLaneCursor({ next: offset(5), lanes: [], troubles: [], ...NONE, blocked: [{ hash: 1n, poison: POISON }] }).subarray(0, -1)],
    ["with bytes left over", Buffer.concat([oldCursor(), Buffer.from([0])])],
  ] as const) {
    it(`is refused ${what}`, () => {
      expect(() => decodeLaneCursor(bytes)).to.throw(CursorCorrupt);
    });
  }
});
