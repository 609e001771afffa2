import { expect } from "chai";
import type { Verdict } from "../../../src/client/delivery.js";
import { SettleCollector } from "../../../src/client/settle-collector.js";

const ACK: Verdict = { kind: "ack" };

/** A batch whose offsets have gaps, as under a filter. */
function batch(batchId: number, offsets: readonly number[]): { batchId: number; index: number; offset: number }[] {
  return offsets.map((offset, index) => ({ batchId, index, offset }));
}

function ranges(collector: SettleCollector): string[] {
  return collector.take().acks.map((range) => `${range.first}-${range.last}@${range.batchId}`);
}

describe("settle collector", () => {
  it("makes one range of a whole batch, over the gaps between its offsets", () => {
    const collector = new SettleCollector();
    for (const delivery of batch(7, [3, 4, 9, 12])) collector.add(delivery, ACK);
    expect(ranges(collector)).to.deep.equal(["3-12@7"]);
  });

  it("never lets a range pass over a delivery that has no verdict", () => {
    const collector = new SettleCollector();
    const [a, , c, d] = batch(1, [1, 2, 3, 4]);
    for (const delivery of [a!, c!, d!]) collector.add(delivery, ACK);
    expect(ranges(collector)).to.deep.equal(["1-1@1", "3-4@1"]);
  });

  it("joins what parallel handlers finished out of order", () => {
    const collector = new SettleCollector();
    const deliveries = batch(1, [10, 11, 12, 13, 14]);
    for (const i of [4, 0, 2, 1, 3]) collector.add(deliveries[i]!, ACK);
    expect(ranges(collector)).to.deep.equal(["10-14@1"]);
  });

  it("keeps batches apart, because the batch is the fence", () => {
    const collector = new SettleCollector();
    for (const delivery of [...batch(1, [1, 2]), ...batch(2, [3, 4])]) collector.add(delivery, ACK);
    expect(ranges(collector)).to.deep.equal(["1-2@1", "3-4@2"]);
  });

  it("keeps verdicts apart, with their delays and reasons", () => {
    const collector = new SettleCollector();
    const deliveries = batch(1, [1, 2, 3, 4, 5, 6, 7]);
    const verdicts: Verdict[] = [
      { kind: "retry", delayMs: 1_500, reason: "busy" },
      { kind: "retry", delayMs: 1_500, reason: "busy" },
      { kind: "retry", reason: "busy" },
      { kind: "reject", reason: "unreadable" },
      { kind: "release" },
      { kind: "ack" },
      { kind: "ack" },
    ];
    deliveries.forEach((delivery, i) => collector.add(delivery, verdicts[i]!));
    const frame = collector.take();
    expect(frame.retries).to.deep.equal([
      { range: { first: 1n, last: 2n, batchId: 1n }, delay: { seconds: 1n, nanos: 500_000_000 }, reason: "busy" },
      { range: { first: 3n, last: 3n, batchId: 1n }, delay: undefined, reason: "busy" },
    ]);
    expect(frame.rejects).to.deep.equal([{ range: { first: 4n, last: 4n, batchId: 1n }, reason: "unreadable" }]);
    expect(frame.releases).to.deep.equal([{ first: 5n, last: 5n, batchId: 1n }]);
    expect(frame.acks).to.deep.equal([{ first: 6n, last: 7n, batchId: 1n }]);
  });

  it("is empty once its frame was taken", () => {
    const collector = new SettleCollector();
    collector.add({ batchId: 1, index: 0, offset: 1 }, ACK);
    collector.take();
    expect(collector.isEmpty).to.equal(true);
    expect(ranges(collector)).to.deep.equal([]);
  });
});
