import { expect } from "chai";
import { excessOf, excessThrough, isOverfull, mayExceed, whenFullByMode } from "../../../src/core/retention.js";
import type { Kept, Retention } from "../../../src/core/retention.js";
import { wallMs } from "../../../src/core/units.js";
import { chunkOf } from "../../support/chunk-builder.js";

const LOG: Retention = { mode: "LOG", maxAgeMs: 0, maxBytes: 0, maxMessages: 0, whenFull: "DROP_OLDEST" };
const NOW = 1_000_000;

/** Three chunks of four messages of ten bytes, a second apart; the first is from `NOW` less three seconds. */
const CHUNKS = [0, 1, 2].map((i) => ({ ...chunkOf(1 + 4 * i, ["a", "a", "a", "a"]), firstTimeMs: wallMs(NOW - 3_000 + 1_000 * i), lastTimeMs: wallMs(NOW - 3_000 + 1_000 * i) }));
const ALL: Kept = { messages: 12, bytes: 120, cumulativeMessages: 12, cumulativeBytes: 120 };

function through(bounds: Partial<Retention>, kept = ALL): number | undefined {
  return excessThrough(CHUNKS, excessOf({ ...LOG, ...bounds }, kept, NOW));
}

describe("What is beyond the bounds of a queue", () => {
  it("is nothing without bounds, and nothing as long as they are kept", () => {
    for (const bounds of [{}, { maxMessages: 12 }, { maxBytes: 120 }, { maxAgeMs: 3_000 }]) expect(through(bounds), JSON.stringify(bounds)).to.equal(undefined);
  });

  it("is counted to the message, in the middle of a chunk too", () => {
    const byCount = [11, 9, 8, 7, 1].map((maxMessages) => through({ maxMessages }));
    expect(byCount).to.deep.equal([1, 3, 4, 5, 11]);
  });

  it("is counted in bytes so that what is left is within them", () => {
    const bySize = [119, 111, 110, 109, 80, 10, 9].map((maxBytes) => through({ maxBytes }));
    expect(bySize).to.deep.equal([1, 1, 1, 2, 4, 11, 12]);
  });

  it("is every chunk whose newest message is too old", () => {
    const byAge = [3_000, 2_999, 2_000, 1_999, 999].map((maxAgeMs) => through({ maxAgeMs }));
    expect(byAge).to.deep.equal([undefined, 4, 4, 8, 12]);
  });

  it("is the most that any bound asks for", () => {
    expect(through({ maxMessages: 11, maxBytes: 90, maxAgeMs: 2_500 })).to.equal(4);
    expect(through({ maxMessages: 2, maxBytes: 90, maxAgeMs: 2_500 })).to.equal(10);
  });

  it("goes by what was ever stored, so that nothing has to be summed up", () => {
    const later = CHUNKS.map((chunk) => ({ ...chunk, cumulativeMessages: chunk.cumulativeMessages + 1_000, cumulativeBytes: chunk.cumulativeBytes + 77_000 }));
    const kept = { messages: 12, bytes: 120, cumulativeMessages: 1_012, cumulativeBytes: 77_120 };
    expect(excessThrough(later, excessOf({ ...LOG, maxMessages: 5 }, kept, NOW))).to.equal(7);
    expect(excessThrough(later, excessOf({ ...LOG, maxBytes: 55 }, kept, NOW))).to.equal(7);
  });

  it("is, when a full queue refuses what is new, only what is too old", () => {
    const rejecting = { ...LOG, maxMessages: 2, maxBytes: 20, whenFull: "REJECT_NEW" } as const;
    expect(excessThrough(CHUNKS, excessOf(rejecting, ALL, NOW))).to.equal(undefined);
    expect(isOverfull(rejecting, ALL)).to.equal(false);
    expect(excessThrough(CHUNKS, excessOf({ ...rejecting, maxAgeMs: 2_500 }, ALL, NOW))).to.equal(4);
  });

  it("needs no look while the numbers are within bounds and nothing ages", () => {
    expect(mayExceed({ ...LOG, maxMessages: 12, maxBytes: 120 }, ALL)).to.equal(false);
    expect(mayExceed({ ...LOG, maxMessages: 11 }, ALL)).to.equal(true);
    expect(mayExceed({ ...LOG, maxBytes: 119 }, ALL)).to.equal(true);
    expect(mayExceed({ ...LOG, maxAgeMs: 1 }, ALL)).to.equal(true);
    expect(mayExceed({ ...LOG, maxAgeMs: 1 }, { ...ALL, messages: 0, bytes: 0 })).to.equal(false);
  });

  it("gives way in a log, and keeps publishers out of a queue that is worked off, if nobody says otherwise", () => {
    expect(whenFullByMode("LOG")).to.equal("DROP_OLDEST");
    expect(whenFullByMode("UNTIL_ACKED")).to.equal("REJECT_NEW");
  });
});
