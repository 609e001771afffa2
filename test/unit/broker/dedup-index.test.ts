import { expect } from "chai";
import { DedupIndex } from "../../../src/broker/dedup-index.js";
import { offset, wallMs } from "../../../src/core/units.js";

const START = Date.UTC(2026, 0, 1);

/** Ids of one segment. */
const SEGMENT = 65_535;

/** Spreads small numbers over 64 bits, both halves. */
function id(n: number): bigint {
  return (BigInt(n + 1) * 0x9e37_79b9_7f4a_7c15n) & 0xffff_ffff_ffff_ffffn;
}

describe("DedupIndex", () => {
  it("finds an id with the offset, fingerprint and time that it was added with", () => {
    const index = new DedupIndex(1_000, 100);
    index.add(id(1), 77n, offset(5), wallMs(START));
    index.add(id(2), 0xffff_ffff_ffff_fffen, offset(9), wallMs(START + 3));
    expect(index.find(id(2), wallMs(START + 3))).to.deep.equal({ offset: 9, fingerprint: 0xffff_ffff_ffff_fffen, publishTimeMs: START + 3 });
    expect(index.find(id(1), wallMs(START + 3))).to.deep.equal({ offset: 5, fingerprint: 77n, publishTimeMs: START });
    expect(index.find(id(3), wallMs(START + 3))).to.equal(undefined);
  });

  it("forgets an id when its window is over, to the millisecond", () => {
    const index = new DedupIndex(1_000, 100);
    index.add(id(1), 1n, offset(1), wallMs(START));
    expect(index.find(id(1), wallMs(START + 1_000))).to.not.equal(undefined);
    expect(index.find(id(1), wallMs(START + 1_001))).to.equal(undefined);
  });

  it("answers with the newest message of an id that came again after its window", () => {
    const index = new DedupIndex(1_000, 100);
    index.add(id(1), 1n, offset(1), wallMs(START));
    index.add(id(1), 2n, offset(2), wallMs(START + 5_000));
    expect(index.find(id(1), wallMs(START + 5_000))?.offset).to.equal(2);
  });

  it("keeps every id of the window across many segments, and drops old ones when there are too many", () => {
    const idsMax = 150_000;
    const index = new DedupIndex(60_000, idsMax);
    const total = 400_000;
    for (let n = 0; n < total; n++) {
      index.add(id(n), BigInt(n), offset(n + 1), wallMs(START));
      if (n % 1_000 === 0) index.expire(wallMs(START));
    }
    index.expire(wallMs(START));
    for (let n = total - idsMax; n < total; n += 997) expect(index.find(id(n), wallMs(START))?.offset, `id ${n}`).to.equal(n + 1);
    expect(index.size).to.be.within(idsMax, idsMax + 65_535);
    expect(index.find(id(0), wallMs(START))).to.equal(undefined);
  });

  it("is empty after the window of everything has passed", () => {
    const index = new DedupIndex(1_000, 1_000_000);
    for (let n = 0; n < 70_000; n++) index.add(id(n), 1n, offset(n + 1), wallMs(START + Math.floor(n / 1_000)));
    index.expire(wallMs(START + 10_000));
    expect(index.size).to.equal(0);
  });

  it("holds one segment beside its bound at most, however many ids pass through", () => {
    const idsMax = 1_000;
    const index = new DedupIndex(60_000, idsMax);
    const sizes = new Set<number>();
    const total = 4 * SEGMENT;
    for (let n = 0; n < total; n++) {
      index.add(id(n), 1n, offset(n + 1), wallMs(START));
      index.expire(wallMs(START));
      sizes.add(index.size);
    }
    expect(Math.max(...sizes)).to.equal(SEGMENT + idsMax - 1);
    expect(index.size).to.equal(SEGMENT);
    const known = (n: number): boolean => index.find(id(n), wallMs(START)) !== undefined;
    for (let n = total - idsMax; n < total; n++) expect(known(n), `id ${n}`).to.equal(true);
    for (let n = 0; n < total - SEGMENT; n += 97) expect(known(n), `id ${n}`).to.equal(false);
  });

  it("drops segments whole, each when its newest id leaves the window, while later ones stay as they are", () => {
    const index = new DedupIndex(10_000, 1_000_000);
    const added = 3 * SEGMENT;
    for (let n = 0; n < added; n++) index.add(id(n), 1n, offset(n + 1), wallMs(START + 1_000 * Math.floor(n / SEGMENT)));
    const sizeAt = (ms: number): number => {
      index.expire(wallMs(START + ms));
      return index.size / SEGMENT;
    };
    expect([10_000, 10_001, 11_000, 11_001, 12_000, 12_001].map(sizeAt)).to.deep.equal([3, 2, 2, 1, 1, 0]);
    expect(index.neededFrom(wallMs(START + 12_001), offset(added + 1))).to.equal(added + 1);
  });

  it("lets go at the next expiry of what smaller bounds do not hold, and keeps more from larger ones on", () => {
    const index = new DedupIndex(60_000, 1_000_000);
    const now = wallMs(START);
    let added = 0;
    const add = (count: number): void => {
      for (const end = added + count; added < end; added++) {
        index.add(id(added), 1n, offset(added + 1), now);
        index.expire(now);
      }
    };
    add(3 * SEGMENT);
    expect(index.size).to.equal(3 * SEGMENT);
    index.bound(60_000, 1_000);
    index.expire(now);
    expect(index.size).to.equal(SEGMENT);
    index.bound(60_000, 1_000_000);
    expect(index.find(id(0), now)).to.equal(undefined);
    add(2 * SEGMENT);
    expect(index.size).to.equal(3 * SEGMENT);
    expect(index.find(id(2 * SEGMENT), now)?.offset).to.equal(2 * SEGMENT + 1);
    index.bound(10, 1_000_000);
    expect([index.find(id(added - 1), wallMs(START + 10))?.offset, index.find(id(added - 1), wallMs(START + 11))]).to.deep.equal([added, undefined]);
    index.expire(wallMs(START + 11));
    expect(index.size).to.equal(0);
  });

  it("says from which message on headers are still needed", () => {
    const index = new DedupIndex(1_000, 100);
    const next = offset(50);
    expect(index.neededFrom(wallMs(START), next)).to.equal(50);
    for (let n = 0; n < 10; n++) index.add(id(n), 1n, offset(10 + n), wallMs(START + n * 100));
    expect(index.neededFrom(wallMs(START + 1_000), next)).to.equal(10);
    expect(index.neededFrom(wallMs(START + 1_301), next)).to.equal(14);
    expect(index.neededFrom(wallMs(START + 1_901), next)).to.equal(50);
  });

  it("forgets what was judged but never stored", () => {
    const index = new DedupIndex(60_000, 1_000_000);
    for (let n = 0; n < 70_000; n++) index.add(id(n), 1n, offset(n + 1), wallMs(START));
    index.forgetFrom(offset(65_000));
    expect(index.size).to.equal(64_999);
    expect(index.find(id(64_998), wallMs(START))?.offset).to.equal(64_999);
    expect(index.find(id(64_999), wallMs(START))).to.equal(undefined);
    index.add(id(64_999), 2n, offset(65_000), wallMs(START));
    expect(index.find(id(64_999), wallMs(START))?.fingerprint).to.equal(2n);
  });
});
