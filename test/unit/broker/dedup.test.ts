import { expect } from "chai";
import { DEFAULTS } from "../../../src/core/limits.js";
import type { PublishOutcome } from "../../../src/broker/api.js";
import { Bench, settled } from "./broker-harness.js";

const ABC = [{ messageId: "a" }, { messageId: "b" }, { messageId: "c" }];

describe("Publishing with message ids", () => {
  it("answers the same message again with its first offset and time", async () => {
    const bench = await Bench.start();
    const first = await bench.accepted([{ messageId: "a" }]);
    bench.clock.advance(1_000);
    await bench.publishMany(1);
    expect(await bench.accepted([{ messageId: "a", headers: new Map([["trace", "2"]]) }])).to.include({ firstOffset: 1, duplicate: true, publishTimeMs: first.publishTimeMs });
    expect(await bench.broker.getQueue("orders")).to.include({ headOffset: 2 });
  });

  for (const [what, other] of [
    ["payload", { payload: Buffer.from("other") }],
    ["event", { event: "other" }],
    ["ordering key", { orderingKey: "other" }],
  ] as const) {
    it(`refuses an id that was used with another ${what}`, async () => {
      const bench = await Bench.start();
      await bench.accepted([{ messageId: "a" }]);
      const error = await bench.refused([{ messageId: "a", ...other }]);
      expect(error.reason).to.equal("MESSAGE_ID_REUSED");
      expect(error.metadata).to.include({ offset: "1" });
    });
  }

  it("judges ids before the expected last offset, so that a retry of a conditional publish is a duplicate", async () => {
    const bench = await Bench.start();
    await bench.accepted([{ messageId: "a" }], { expectedLastOffset: 0 });
    expect(await bench.accepted([{ messageId: "a" }], { expectedLastOffset: 0 })).to.include({ firstOffset: 1, duplicate: true });
  });

  it("remembers ids for the window and no longer", async () => {
    const bench = await Bench.start();
    await bench.accepted([{ messageId: "a" }]);
    bench.clock.advance(DEFAULTS.dedupWindowMs);
    expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: true });
    bench.clock.advance(1);
    expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: false, firstOffset: 2 });
    expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: true, firstOffset: 2 });
  });

  it("remembers ids across a restart, and only those of the window", async () => {
    const bench = await Bench.start();
    await bench.accepted([{ messageId: "old" }]);
    bench.clock.advance(DEFAULTS.dedupWindowMs / 2 + 1);
    await bench.accepted(ABC);
    bench.clock.advance(DEFAULTS.dedupWindowMs / 2);
    await bench.crashAndRestart();
    expect(await bench.accepted([{ messageId: "b" }])).to.include({ duplicate: true, firstOffset: 3 });
    expect(await bench.accepted(ABC)).to.include({ duplicate: true, firstOffset: 2 });
    expect(await bench.accepted([{ messageId: "old" }])).to.include({ duplicate: false, firstOffset: 5 });
  });

  it("remembers ids of messages that were settled and trimmed, also across a restart", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.accepted(ABC);
    await session.received(3);
    await session.ack(1, 3);
    await bench.advanceUntil("everything is trimmed", async () => (await bench.broker.getQueue("orders")).messageCount === 0, 500);
    expect(await bench.accepted(ABC)).to.include({ duplicate: true, firstOffset: 1 });
    await bench.crashAndRestart();
    expect(await bench.accepted(ABC)).to.include({ duplicate: true, firstOffset: 1 });
    expect(await bench.publishMany(1)).to.include({ firstOffset: 4 });
  });

  describe("of which a queue remembers a number at least", () => {
    const BATCH = 1_000;
    /** More ids than the smallest bound keeps: a segment of 65,535 goes when a thousand came after it. */
    const BATCHES = 67;
    const batch = (n: number): { messageId: string }[] => Array.from({ length: BATCH }, (_, i) => ({ messageId: `${n}-${i}` }));
    const publishAll = async (bench: Bench, first: number): Promise<void> => {
      for (let n = first; n < first + BATCHES; n++) expect(await bench.accepted(batch(n))).to.include({ duplicate: false });
    };
    const isKnown = async (bench: Bench, n: number): Promise<boolean> => (await bench.accepted(batch(n))).duplicate;
    const bound = (bench: Bench, dedupIdsMax: number): Promise<unknown> =>
      bench.broker.updateQueue({ name: "orders", queueId: "", ordering: undefined, changes: { dedupIdsMax } });

    it("forgets the oldest beyond it and knows the newest, after a restart too", async () => {
      const bench = await Bench.start();
      await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: { dedupIdsMax: BATCH } });
      await publishAll(bench, 0);
      expect(await isKnown(bench, BATCHES - 1)).to.equal(true);
      expect(await isKnown(bench, 0)).to.equal(false);
      await bench.crashAndRestart();
      expect([await isKnown(bench, BATCHES - 1), await isKnown(bench, 0)]).to.deep.equal([true, true]);
      expect(await isKnown(bench, 1)).to.equal(false);
    });

    it("forgets more once it is smaller, and no more once it is larger again", async () => {
      const bench = await Bench.start();
      await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: {} });
      await publishAll(bench, 0);
      expect([await isKnown(bench, 0), await isKnown(bench, BATCHES - 1)]).to.deep.equal([true, true]);
      await bound(bench, BATCH);
      await bench.publishMany(1);
      expect([await isKnown(bench, BATCHES - 1), await isKnown(bench, 0)]).to.deep.equal([true, false]);
      await bound(bench, DEFAULTS.dedupIdsMax);
      expect(await isKnown(bench, 1)).to.equal(false);
      await publishAll(bench, BATCHES);
      expect([await isKnown(bench, 0), await isKnown(bench, 1), await isKnown(bench, BATCHES)]).to.deep.equal([true, true, true]);
    });
  });

  it("makes an answer that cites an undurable message wait for that message's commit", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const release = bench.faults.holdCommits();
    const answered: string[] = [];
    const note = (name: string) => (outcome: PublishOutcome) => answered.push(`${name} ${outcome.ok ? outcome.firstOffset : outcome.error.reason}`);
    const all = [bench.publish([{ messageId: "a" }]).then(note("first"))];
    await settled();
    all.push(bench.publish([{ messageId: "a" }]).then(note("again")));
    all.push(bench.publish([{ messageId: "a", event: "other" }]).then(note("reused")));
    all.push(bench.publish([{}], { expectedLastOffset: 1 }).then(note("unexpected")));
    await settled();
    expect(answered).to.deep.equal([]);
    release();
    await Promise.all(all);
    expect(answered).to.deep.equal(["first 2", "again 2", "reused MESSAGE_ID_REUSED", "unexpected UNEXPECTED_LAST_OFFSET"]);
  });

  describe("in a batch", () => {
    it("answers the whole batch again with its first offset", async () => {
      const bench = await Bench.start();
      await bench.publishMany(2);
      await bench.accepted(ABC);
      expect(await bench.accepted(ABC)).to.include({ firstOffset: 3, duplicate: true });
    });

    const mixtures: readonly (readonly [string, readonly { messageId: string }[]])[] = [
      ["some are new", [{ messageId: "a" }, { messageId: "new" }]],
      ["they were published in another order", [{ messageId: "b" }, { messageId: "a" }]],
      ["they were published with others in between", [{ messageId: "a" }, { messageId: "c" }]],
      ["one of them has no id, so that nobody can tell", [{ messageId: "a" }, { messageId: "" }]],
      ["the first is new", [{ messageId: "new" }, { messageId: "b" }]],
    ];
    for (const [what, messages] of mixtures) {
      it(`refuses all of it when ${what}`, async () => {
        const bench = await Bench.start();
        await bench.accepted(ABC);
        expect((await bench.refused(messages)).reason).to.equal("PARTIAL_DUPLICATE");
        expect((await bench.broker.getQueue("orders")).headOffset).to.equal(3);
      });
    }

    it("refuses an id that is in it twice, and stores nothing", async () => {
      const bench = await Bench.start();
      expect((await bench.refused([{ messageId: "a" }, {}, { messageId: "a" }])).reason).to.equal("REPEATED_MESSAGE_ID");
      expect(await bench.accepted([{ messageId: "a" }])).to.include({ firstOffset: 1, duplicate: false });
    });

    it("refuses all of it when one id was used with other content", async () => {
      const bench = await Bench.start();
      await bench.accepted(ABC);
      expect((await bench.refused([{ messageId: "a" }, { messageId: "b", event: "other" }])).reason).to.equal("MESSAGE_ID_REUSED");
    });
  });

  describe("in an independent frame", () => {
    it("stores each message on its own and says which were duplicates or failed", async () => {
      const bench = await Bench.start();
      await bench.accepted(ABC);
      const outcome = await bench.accepted([{ messageId: "x" }, { messageId: "b" }, {}, { messageId: "c", event: "other" }, { messageId: "x" }, { payload: Buffer.alloc(1024 * 1024) }, {}], {
        independent: true,
      });
      expect(outcome).to.include({ firstOffset: 4, duplicate: false });
      expect(outcome.outcomes.map(({ index, offset, duplicate, error }) => ({ index, offset, duplicate, reason: error?.reason }))).to.deep.equal([
        { index: 1, offset: 2, duplicate: true, reason: undefined },
        { index: 3, offset: 0, duplicate: false, reason: "MESSAGE_ID_REUSED" },
        { index: 4, offset: 4, duplicate: true, reason: undefined },
        { index: 5, offset: 0, duplicate: false, reason: "MESSAGE_TOO_LARGE" },
      ]);
      expect((await bench.broker.getQueue("orders")).headOffset).to.equal(6);
    });

    it("is a duplicate as a whole when all of it was known", async () => {
      const bench = await Bench.start();
      await bench.accepted(ABC);
      const outcome = await bench.accepted([{ messageId: "c" }, { messageId: "a" }], { independent: true });
      expect(outcome).to.include({ firstOffset: 0, duplicate: true });
      expect(outcome.outcomes.map(({ offset }) => offset)).to.deep.equal([3, 1]);
    });
  });
});

describe("Publishing with an expected last offset", () => {
  it("stores when it is the last one, 0 meaning that the queue never had a message", async () => {
    const bench = await Bench.start();
    expect(await bench.accepted([{}], { expectedLastOffset: 0 })).to.include({ firstOffset: 1 });
    expect(await bench.accepted([{}, {}], { expectedLastOffset: 1 })).to.include({ firstOffset: 2 });
    const error = await bench.refused([{}], { expectedLastOffset: 0 });
    expect(error.reason).to.equal("UNEXPECTED_LAST_OFFSET");
    expect(error.metadata).to.include({ last_offset: "3" });
  });

  it("lets one of many concurrent publishers with the same expectation through", async () => {
    const bench = await Bench.start();
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => bench.publish([{}], { expectedLastOffset: 0 })));
    expect(outcomes.filter(({ ok }) => ok)).to.have.length(1);
  });

  it("still counts messages that are trimmed", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(2);
    await session.received(2);
    await session.ack(1, 2);
    await bench.advanceUntil("everything is trimmed", async () => (await bench.broker.getQueue("orders")).messageCount === 0, 500);
    expect((await bench.refused([{}], { expectedLastOffset: 0 })).reason).to.equal("UNEXPECTED_LAST_OFFSET");
    expect(await bench.accepted([{}], { expectedLastOffset: 2 })).to.include({ firstOffset: 3 });
  });
});
