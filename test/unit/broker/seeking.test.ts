import { expect } from "chai";
import type { SeekOutcome, SeekTarget } from "../../../src/broker/seek-api.js";
import { cursorKey } from "../../../src/broker/state-keys.js";
import { offset } from "../../../src/core/units.js";
import { Bench, failure, run, settled } from "./broker-harness.js";

const EARLIEST: SeekTarget = { kind: "earliest" };
const LATEST: SeekTarget = { kind: "latest" };
const after = (at: number): SeekTarget => ({ kind: "after_offset", offset: offset(at) });

function seek(bench: Bench, target: SeekTarget, dryRun = false, subscriber = "billing"): Promise<SeekOutcome> {
  return bench.broker.seekSubscriber({ queue: "orders", subscriber, target, dryRun });
}

/** Goes back to where an earlier seek says that the subscriber was. */
function undo(bench: Bench, { previous }: SeekOutcome): Promise<SeekOutcome> {
  return seek(bench, { kind: "restore", position: previous });
}

async function letTrim(bench: Bench): Promise<void> {
  for (let i = 0; i < 10; i++) {
    bench.clock.advance(600);
    await settled(8);
  }
}

for (const ordering of ["UNORDERED", "ORDERED"] as const) {
  describe(`A seek on a queue that is ${ordering}`, () => {
    /** Messages of three keys in turn, with another subscriber that keeps them all. */
    async function filled(count: number): Promise<Bench> {
      const bench = await Bench.start();
      await bench.broker.createQueue({ name: "orders", ordering, own: {} });
      (await bench.subscribe({ subscriber: "keeper", flow: { maxMessages: 1, maxBytes: 1, paused: true } })).lost();
      const messages = Array.from({ length: count }, (_, i) => ({ event: i % 2 === 0 ? "order.created" : "order.paid", orderingKey: `k${i % 3}` }));
      await bench.accepted(messages);
      return bench;
    }

    async function readAll(bench: Bench, count: number): Promise<void> {
      const reader = await bench.subscribe({ maxInFlightPerLane: 100 });
      await reader.received(count);
      await reader.settle({ acks: [run(1, count)] });
      reader.lost();
    }

    it("brings back what was settled, counts it, and says where it was", async () => {
      const bench = await filled(6);
      await readAll(bench, 6);
      const moved = await seek(bench, after(2));
      expect(moved).to.deep.equal({ previous: { committedOffset: 6, settled: [] }, position: { committedOffset: 2, settled: [] }, repeatedCount: 4, skippedCount: 0 });
      expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ committedOffset: 2, backlogCount: 4 });
      const again = await bench.subscribe({ maxInFlightPerLane: 100 });
      expect(await again.received(4)).to.deep.equal([3, 4, 5, 6]);
      expect(again.heard.batches[0]?.facts).to.include({ cause: "SEEK", attempt: 1, deliveryCount: 1 });
    });

    it("passes over what was not read, and counts it", async () => {
      const bench = await filled(6);
      (await bench.subscribe()).lost();
      expect(await seek(bench, LATEST)).to.deep.equal({ previous: { committedOffset: 0, settled: [] }, position: { committedOffset: 6, settled: [] }, repeatedCount: 0, skippedCount: 6 });
      expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ committedOffset: 6, backlogCount: 0 });
    });

    it("is undone with what it answered, to the message", async () => {
      const bench = await filled(9);
      const reader = await bench.subscribe({ maxInFlightPerLane: 100 });
      await reader.received(9);
      // Of k0 the first, of k1 the first two, of k2 none.
      await reader.settle({ acks: [run(1), run(2), run(5)] });
      reader.lost();
      const moved = await seek(bench, EARLIEST);
      expect(moved).to.deep.include({ previous: { committedOffset: 2, settled: [{ first: offset(5), last: offset(5) }] }, repeatedCount: 3, skippedCount: 0 });
      const back = await undo(bench, moved);
      expect(back).to.deep.equal({ previous: { committedOffset: 0, settled: [] }, position: moved.previous, repeatedCount: 0, skippedCount: 3 });
      await bench.crashAndRestart();
      const again = await bench.subscribe({ maxInFlightPerLane: 100 });
      expect([...(await again.received(6))].sort((a, b) => a - b)).to.deep.equal([3, 4, 6, 7, 8, 9]);
      await settled();
      expect(again.offsets).to.have.length(6);
    });

    it("only counts when that is asked for, and nothing moves", async () => {
      const bench = await filled(6);
      await readAll(bench, 4);
      const [asked, open] = [await seek(bench, after(1), true), await bench.subscribe({ maxInFlightPerLane: 100 })];
      expect(asked).to.deep.equal({ previous: { committedOffset: 4, settled: [] }, position: { committedOffset: 1, settled: [] }, repeatedCount: 3, skippedCount: 0 });
      expect(await open.received(2)).to.deep.equal([5, 6]);
      expect(open.heard.notices.map(({ reason }) => reason)).to.not.include("POSITION_MOVED");
      expect(await seek(bench, LATEST, true)).to.include({ repeatedCount: 0, skippedCount: 2 });
    });

    it("holds on open streams at once: they lose what they hold, hear of it, and go on", async () => {
      const bench = await filled(3);
      const reader = await bench.subscribe({ maxInFlightPerLane: 100 });
      await reader.received(3);
      await reader.ack(1);
      await seek(bench, EARLIEST);
      expect(await reader.received(6)).to.deep.equal([1, 2, 3, 1, 2, 3]);
      expect(reader.heard.recalls.at(-1)).to.deep.equal(run(2, 3, 1));
      expect(reader.heard.notices.at(-1)).to.include({ reason: "POSITION_MOVED", detail: "an operator moved the subscriber from offset 1 to offset 0" });
      expect((await reader.settle({ acks: [run(2, 3, 1)] })).failures.map(({ code }) => code)).to.deep.equal(["LEASE_LOST"]);
      expect((await reader.settle({ acks: [run(1, 3)] })).failures).to.deep.equal([]);
    });

    it("is durable when it is answered, and after a kill the subscriber is where it was moved to", async () => {
      const bench = await filled(6);
      await readAll(bench, 6);
      await seek(bench, after(3));
      await bench.crashAndRestart();
      expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ committedOffset: 3, backlogCount: 3 });
      const again = await bench.subscribe({ maxInFlightPerLane: 100 });
      expect(await again.received(3)).to.deep.equal([4, 5, 6]);
      expect(again.heard.batches[0]?.facts.cause, "only memory knows that it had been there").to.equal("NEW");
    });

    it("that meets a cursor which somebody else has written is none: the subscriber is where that says", async () => {
      const bench = await filled(6);
      await readAll(bench, 6);
      const state = bench.engine.state((await bench.broker.getQueue("orders")).queueId);
      const stored = await state.get(cursorKey("billing"));
      await state.commit([{ key: cursorKey("billing"), value: stored?.value ?? null, expect: "any" }]);
      expect((await failure(seek(bench, EARLIEST))).reason).to.equal("SUBSCRIPTION_MOVED");
      expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(6);
    });

    it("counts what the filter takes, and goes by the filter of now", async () => {
      const bench = await filled(6);
      const reader = await bench.subscribe({ events: ["order.created"], maxInFlightPerLane: 100 });
      await reader.received(3);
      await reader.settle({ acks: [run(1, 6)] });
      expect(await seek(bench, EARLIEST, true)).to.include({ repeatedCount: 3, skippedCount: 0 });
      await bench.broker.updateSubscriber({ queue: "orders", name: "billing", events: ["order.paid"], settings: {} });
      expect(await seek(bench, EARLIEST)).to.include({ repeatedCount: 3, skippedCount: 0 });
      expect((await reader.received(6)).slice(3)).to.deep.equal([2, 4, 6]);
    });

    it("to a time is to the first message published then", async () => {
      const bench = await filled(3);
      bench.clock.advance(60_000);
      const timeMs = bench.clock.wall();
      await bench.publishMany(2);
      await readAll(bench, 5);
      expect((await seek(bench, { kind: "from_time", timeMs })).position.committedOffset).to.equal(3);
      expect((await seek(bench, { kind: "from_time", timeMs: bench.clock.wall() + 1 as typeof timeMs })).position.committedOffset).to.equal(5);
      expect((await seek(bench, { kind: "from_time", timeMs: 0 as typeof timeMs })).position.committedOffset).to.equal(0);
    });
  });
}

describe("A seek", () => {
  /** Messages 1 to 4 are gone, and 5 to 6 are there. */
  async function trimmed(): Promise<Bench> {
    const bench = await Bench.start();
    const reader = await bench.subscribe();
    for (let i = 0; i < 3; i++) await bench.publishMany(2);
    await reader.received(6);
    await reader.settle({ acks: [run(1, 4)] });
    await letTrim(bench);
    return bench;
  }

  it("goes no further back than the oldest message, and says how far", async () => {
    const bench = await trimmed();
    expect((await bench.broker.getQueue("orders")).firstOffset).to.equal(5);
    const refused = await failure(seek(bench, after(3)));
    expect([refused.reason, refused.status, refused.metadata]).to.deep.equal(["BEFORE_FIRST", "OUT_OF_RANGE", { field: "after_offset", value: "3", limit: "4 to 6" }]);
    expect((await seek(bench, after(0))).position.committedOffset).to.equal(4);
    expect((await seek(bench, EARLIEST)).position.committedOffset).to.equal(4);
  });

  it("goes no further than the last message, and says how far", async () => {
    const bench = await trimmed();
    const refused = await failure(seek(bench, after(7)));
    expect([refused.reason, refused.metadata]).to.deep.equal(["BEYOND_HEAD", { field: "after_offset", value: "7", limit: "4 to 6" }]);
    const restore = (committed: number, first: number, last: number): Promise<SeekOutcome> =>
      seek(bench, { kind: "restore", position: { committedOffset: offset(committed), settled: [{ first: offset(first), last: offset(last) }] } });
    expect((await failure(restore(7, 8, 8))).metadata).to.deep.include({ field: "restore.committed_offset", value: "7" });
    expect((await failure(restore(4, 6, 7))).metadata).to.deep.include({ field: "restore.settled", value: "7" });
    expect((await failure(restore(2, 4, 6))).metadata).to.deep.include({ field: "restore.committed_offset", value: "2", limit: "4 to 6" });
    expect((await restore(2, 3, 5)).position, "what is gone was settled").to.deep.equal({ committedOffset: 5, settled: [] });
  });

  it("keeps what comes back from being trimmed, and lets go of what it passed", async () => {
    const bench = await Bench.start();
    const keeper = await bench.subscribe({ subscriber: "keeper" });
    const reader = await bench.subscribe();
    for (let i = 0; i < 3; i++) await bench.publishMany(2);
    await reader.received(6);
    await reader.settle({ acks: [run(1, 6)] });
    await seek(bench, after(2));
    await keeper.received(6);
    await keeper.settle({ acks: [run(1, 6)] });
    await letTrim(bench);
    expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 3, messageCount: 4 });
    const moved = await seek(bench, LATEST);
    await letTrim(bench);
    expect((await bench.broker.getQueue("orders")).messageCount).to.equal(0);
    expect((await failure(undo(bench, moved))).reason).to.equal("BEFORE_FIRST");
  });

  it("of a subscriber or a queue that is not there is refused", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    expect((await failure(seek(bench, EARLIEST, false, "nobody"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
    expect((await failure(bench.broker.seekSubscriber({ queue: "none", subscriber: "a", target: EARLIEST, dryRun: true }))).reason).to.equal("QUEUE_NOT_FOUND");
  });

  it("keeps dead letters, and brings their messages back", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const reader = await bench.subscribe();
    await reader.received(2);
    await reader.settle({ rejects: [{ range: run(1), reason: "bad" }] });
    expect(await seek(bench, EARLIEST)).to.include({ repeatedCount: 1, skippedCount: 0 });
    expect(await reader.received(4)).to.deep.equal([1, 2, 1, 2]);
    await reader.settle({ rejects: [{ range: run(1), reason: "worse" }] });
    expect((await bench.broker.getSubscriber("orders", "billing")).deadLetterCount).to.equal(1);
    await bench.crashAndRestart();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ deadLetterCount: 1, committedOffset: 1 });
  });

  it("counts nothing that has expired, since that comes neither way", async () => {
    const bench = await Bench.start();
    await bench.subscribe({ subscriber: "keeper", flow: { maxMessages: 1, maxBytes: 1, paused: true } });
    await bench.accepted([{ event: "a", ttlMs: 1_000 }, { event: "a" }]);
    const reader = await bench.subscribe();
    await reader.received(2);
    await reader.settle({ acks: [run(1, 2)] });
    expect((await seek(bench, EARLIEST, true)).repeatedCount).to.equal(2);
    bench.clock.advance(1_000);
    expect((await seek(bench, EARLIEST)).repeatedCount).to.equal(1);
    expect((await reader.received(3)).slice(2)).to.deep.equal([2]);
    expect((await seek(bench, LATEST)).skippedCount).to.equal(1);
  });

  it("takes a long log in slices, and what cannot be read counts for nothing", async () => {
    const bench = await Bench.start();
    const reader = await bench.subscribe({ subscriber: "keeper", flow: { maxMessages: 1, maxBytes: 1, paused: true } });
    (await bench.subscribe()).lost();
    for (let i = 0; i < 150; i++) await bench.publishMany(10);
    expect((await seek(bench, LATEST)).skippedCount).to.equal(1_500);
    expect((await seek(bench, EARLIEST)).repeatedCount).to.equal(1_500);
    reader.lost();
  });
});
