import { expect } from "chai";
import type { PurgeOutcome, PurgeRequest } from "../../../src/broker/api.js";
import { decodeDeadLetter } from "../../../src/broker/dead-letter-record.js";
import { offset } from "../../../src/core/units.js";
import { until } from "../../support/condition.js";
import { Bench, failure, run, settled } from "./broker-harness.js";

const DEADLINE_MS = 2_000;

function purge(bench: Bench, through = 0, request: Partial<PurgeRequest> = {}): Promise<PurgeOutcome> {
  return bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(through), dryRun: false, ...request });
}

/** Chunks that are stored with their bodies. */
async function storedChunks(bench: Bench): Promise<number> {
  const { queueId } = await bench.broker.getQueue("orders");
  const log = await bench.engine.openLog(queueId);
  const { first, next } = log.head();
  return first === next ? 0 : (await log.headers(first, 1_000)).length;
}

describe("Purging a queue", () => {
  describe("in numbers", () => {
    it("counts messages and stored bytes exactly, in the middle of a chunk too, and hides them at once", async () => {
      const bench = await Bench.start();
      await bench.accepted([{ payload: Buffer.alloc(10) }, { payload: Buffer.alloc(20) }, { payload: Buffer.alloc(30) }]);
      await bench.accepted([{ payload: Buffer.alloc(40) }]);
      const before = await bench.broker.getQueue("orders");
      const counted = await purge(bench, 2, { dryRun: true });
      expect(await bench.broker.getQueue("orders"), "a dry run drops nothing").to.deep.equal(before);
      expect(await purge(bench, 2)).to.deep.equal(counted);
      const after = await bench.broker.getQueue("orders");
      expect(counted).to.deep.equal({ purgedCount: 2, purgedBytes: before.bytes - after.bytes, throughOffset: 2 });
      expect(after).to.include({ firstOffset: 3, headOffset: 4, messageCount: 2 });
      const rest = await purge(bench);
      expect(rest).to.deep.equal({ purgedCount: 2, purgedBytes: after.bytes, throughOffset: 4 });
      expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 5, headOffset: 4, messageCount: 0, bytes: 0 });
      expect(await bench.accepted([{}])).to.include({ firstOffset: 5 });
      expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 5, headOffset: 5, messageCount: 1 });
    });

    it("finds nothing to drop in an empty queue, and nothing a second time", async () => {
      const bench = await Bench.start();
      await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: {} });
      expect(await purge(bench)).to.deep.equal({ purgedCount: 0, purgedBytes: 0, throughOffset: 0 });
      await bench.publishMany(3);
      expect(await purge(bench)).to.include({ purgedCount: 3, throughOffset: 3 });
      expect(await purge(bench)).to.deep.equal({ purgedCount: 0, purgedBytes: 0, throughOffset: 3 });
      expect(await purge(bench, 2)).to.deep.equal({ purgedCount: 0, purgedBytes: 0, throughOffset: 2 });
    });

    it("refuses what is beyond the head and another incarnation, and drops nothing then", async () => {
      const bench = await Bench.start();
      await bench.publishMany(3);
      expect(await failure(purge(bench, 4))).to.deep.include({ reason: "BEYOND_HEAD", metadata: { field: "through_offset", value: "4", limit: "1 to 3" } });
      expect(await failure(purge(bench, 0, { queueId: "f".repeat(32) }))).to.deep.include({ reason: "QUEUE_ID_MISMATCH" });
      expect(await failure(purge(bench, 0, { queue: "nowhere" }))).to.include({ reason: "QUEUE_NOT_FOUND" });
      expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 1, messageCount: 3 });
    });
  });

  describe("for who subscribes", () => {
    it("settles what is in flight, tells of the rest in a gap, and delivers what comes after", async () => {
      const bench = await Bench.start();
      await bench.publishMany(5);
      const session = await bench.subscribe({ flow: { maxMessages: 2, maxBytes: 0, paused: false } });
      await session.received(2);
      await purge(bench, 4);
      expect(session.heard.gaps).to.deep.equal([{ first: 3, last: 4, matchingCount: 2 }]);
      expect(await session.received(3)).to.deep.equal([1, 2, 5]);
      expect((await session.ack(1, 2)).failures).to.deep.equal([]);
      const late = await session.settle({ retries: [{ range: run(1), delayMs: undefined, reason: "" }] });
      expect(late.failures.map(({ code }) => code)).to.deep.equal(["ALREADY_SETTLED"]);
      expect((await session.ack(5)).committedOffset).to.equal(5);
    });

    it("counts in the gap what a filter takes, of a client that is behind", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe({ events: ["order.*"], flow: { maxMessages: 1, maxBytes: 0, paused: true } });
      await bench.accepted([{ event: "order.paid" }, { event: "noise" }, { event: "order.sent" }]);
      await bench.publishMany(2, "noise");
      await purge(bench, 3);
      expect(session.heard.gaps).to.deep.equal([{ first: 1, last: 3, matchingCount: 2 }]);
      expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(0);
    });

    it("tells a subscriber that was away at its next open, once", async () => {
      const bench = await Bench.start();
      (await bench.subscribe()).lost();
      await bench.publishMany(3);
      await purge(bench);
      expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(0);
      const session = await bench.subscribe();
      expect(session.heard.frames.slice(0, 2)).to.deep.equal(["opened", "gap"]);
      expect(session.heard.gaps).to.deep.equal([{ first: 1, last: 3, matchingCount: 3 }]);
      session.lost();
      expect((await bench.subscribe()).heard.gaps).to.deep.equal([]);
    });

    it("begins new subscribers behind it, and tells those who asked for an earlier offset", async () => {
      const bench = await Bench.start();
      await bench.publishMany(4);
      await purge(bench, 2);
      const earliest = await bench.subscribe({ subscriber: "a", start: { kind: "earliest" } });
      expect(earliest.heard.facts).to.include({ backlogCount: 2, committedOffset: 2 });
      expect(await earliest.received(2)).to.deep.equal([3, 4]);
      expect(earliest.heard.gaps).to.deep.equal([]);
      for (const subscriber of ["b", ""]) {
        const asked = await bench.subscribe({ subscriber, start: { kind: "after_offset", offset: offset(1) } });
        expect(await asked.received(2)).to.deep.equal([3, 4]);
        expect(asked.heard.gaps).to.deep.equal([{ first: 2, last: 2, matchingCount: 1 }]);
      }
    });

    it("finishes burials under way with the messages themselves", async () => {
      const bench = await Bench.start();
      // More than go into one commit: the last ones are read after the purge.
      await bench.publishMany(300);
      await bench.crashAndRestart();
      const session = await bench.subscribe();
      await session.received(300);
      const release = bench.faults.holdCommits();
      session.send({ rejects: [{ range: run(1, 300), reason: "bad" }] });
      const purged = purge(bench);
      await settled();
      release();
      expect(await purged).to.include({ purgedCount: 300 });
      const { queueId } = await bench.broker.getQueue("orders");
      const letters = await until("the dead letters", DEADLINE_MS, async () => {
        const found = await bench.engine.state(queueId).list("d/billing/", undefined, 1_000);
        return found.length === 300 && found;
      });
      for (const { key, value } of letters) expect(decodeDeadLetter(value).message.length, key).to.be.greaterThan(0);
      await bench.advanceUntil("the log is free", async () => (await storedChunks(bench)) === 0);
    });

    it("leaves dead letters where they are, and ids of what is gone count as duplicates as long as before", async () => {
      const bench = await Bench.start();
      await bench.accepted([{ messageId: "once" }]);
      const session = await bench.subscribe();
      await session.received(1);
      await session.settle({ rejects: [{ range: run(1), reason: "bad" }] });
      await bench.publishMany(1);
      await purge(bench);
      await bench.advanceUntil("the chunks are trimmed", async () => (await storedChunks(bench)) === 0);
      expect((await bench.broker.getSubscriber("orders", "billing")).deadLetterCount).to.equal(1);
      expect(await bench.accepted([{ messageId: "once" }])).to.include({ duplicate: true, firstOffset: 1 });
      await bench.crashAndRestart();
      expect(await bench.accepted([{ messageId: "once" }])).to.include({ duplicate: true, firstOffset: 1 });
    });
  });

  describe("on disk", () => {
    it("frees whole chunks soon after, with and without subscribers, and keeps the one in which it ends", async () => {
      for (const subscribers of [0, 1]) {
        const bench = await Bench.start();
        for (let i = 0; i < 3; i++) await bench.publishMany(2);
        if (subscribers > 0) (await bench.subscribe()).lost();
        await purge(bench, 5);
        await bench.advanceUntil("two chunks are gone", async () => (await storedChunks(bench)) === 1);
        expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 6, messageCount: 1 });
        await bench.crashAndRestart();
        const late = await bench.subscribe({ subscriber: "late" });
        expect(await late.received(1)).to.deep.equal([6]);
      }
    });

    it("does not keep a new subscriber waiting while it frees", async () => {
      const bench = await Bench.start();
      for (let i = 0; i < 3; i++) await bench.publishMany(2);
      await purge(bench, 4);
      const log = await bench.engine.openLog((await bench.broker.getQueue("orders")).queueId);
      let trimming = false;
      log.trim = () => {
        trimming = true;
        return new Promise(() => undefined);
      };
      await bench.advanceUntil("the trim begins", () => trimming);
      expect(await (await bench.subscribe({ subscriber: "new" })).received(2)).to.deep.equal([5, 6]);
    });
  });

  describe("when the server dies", () => {
    it("before the record is on disk: nothing was purged, and nobody was told", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe({ flow: { maxMessages: 1, maxBytes: 0, paused: false } });
      await bench.publishMany(3);
      await session.received(1);
      bench.breakDisk();
      void purge(bench);
      await settled();
      expect(session.heard.gaps).to.deep.equal([]);
      await bench.crashAndRestart();
      expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 1, messageCount: 3 });
      expect(await (await bench.subscribe()).received(3)).to.deep.equal([1, 2, 3]);
    });

    for (const [when, commits, gapsAfter] of [
      ["after the record and before a cursor", 1, 1],
      ["after the cursors and before the trim", 2, 0],
    ] as const) {
      it(`${when}: purged stays purged, for every subscriber`, async () => {
        const bench = await Bench.start();
        const session = await bench.subscribe();
        await bench.publishMany(4);
        await session.received(4);
        await session.settle({ acks: [run(3)], retries: [{ range: run(1), delayMs: 60_000, reason: "later" }] });
        const before = bench.faults.commits;
        bench.faults.failingCommit = before + commits + 1;
        expect(await purge(bench, 2)).to.include({ purgedCount: 2 });
        for (let i = 0; i < 3; i++) {
          bench.clock.advance(200);
          await settled();
        }
        expect(bench.faults.commits).to.equal(before + commits + (commits === 1 ? 1 : 0));
        await bench.crashAndRestart();
        expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 3, messageCount: 2 });
        const again = await bench.subscribe();
        expect(await again.received(1)).to.deep.equal([4]);
        expect(again.heard.gaps).to.have.length(gapsAfter);
        expect((await again.ack(4)).committedOffset).to.equal(4);
        bench.clock.advance(120_000);
        await settled();
        expect(again.offsets).to.deep.equal([4]);
      });
    }

    it("with many purges of queues that are not open yet when the server comes back: each begins where it was purged to", async () => {
      const bench = await Bench.start();
      for (const queue of ["a", "b"]) {
        await bench.accepted([{}, {}, {}], { queue });
        await purge(bench, queue === "a" ? 1 : 3, { queue });
      }
      await bench.crashAndRestart();
      expect((await bench.broker.listQueues(undefined, 10)).map(({ name, firstOffset, messageCount }) => [name, firstOffset, messageCount])).to.deep.equal([["a", 2, 2], ["b", 4, 0]]);
    });
  });

  describe("beside other work", () => {
    it("goes one after the other: together two purges drop every message once", async () => {
      const bench = await Bench.start();
      await bench.publishMany(10);
      const outcomes = await Promise.all([purge(bench, 4), purge(bench, 7), purge(bench)]);
      expect(outcomes.map(({ purgedCount }) => purgedCount)).to.deep.equal([4, 3, 3]);
    });

    it("drops what was durable when it came, and nothing that is published meanwhile", async () => {
      const bench = await Bench.start();
      await bench.publishMany(2);
      const release = bench.faults.holdCommits();
      const published = bench.accepted([{}]);
      await settled();
      const purged = purge(bench);
      await settled();
      release();
      expect(await purged).to.include({ purgedCount: 2, throughOffset: 2 });
      expect(await published).to.include({ firstOffset: 3 });
      const session = await bench.subscribe();
      expect(await session.received(1)).to.deep.equal([3]);
    });

    it("ends with the queue when that is deleted at the same time, and what is made anew is whole", async () => {
      const bench = await Bench.start();
      await bench.publishMany(3);
      const release = bench.faults.holdCommits();
      const purged = failure(purge(bench));
      const deleted = bench.broker.deleteQueue("orders");
      await settled();
      release();
      await deleted;
      // It may have been done just before the queue went, or not.
      expect((await purged.catch(() => undefined))?.reason ?? "done").to.be.oneOf(["QUEUE_DELETED", "done"]);
      await bench.publishMany(2);
      expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 1, messageCount: 2 });
    });

    it("reaches subscribers that are made, and sessions that open, while its record is being written", async () => {
      const bench = await Bench.start();
      await bench.publishMany(3);
      const release = bench.faults.holdCommits();
      const purged = purge(bench);
      await settled();
      const opening = ["", "made"].map((subscriber) => bench.subscribe({ subscriber, start: { kind: "earliest" } }));
      await settled();
      release();
      await purged;
      await bench.publishMany(1);
      for (const session of await Promise.all(opening)) {
        await until("what came after the purge", DEADLINE_MS, () => session.offsets.includes(4));
        const alreadyOut = session.offsets.filter((at) => at < 4);
        // Whoever had them before the purge was done may keep them; whoever had not is told.
        expect(alreadyOut.length + session.heard.gaps.reduce((sum, { matchingCount }) => sum + matchingCount, 0)).to.equal(3);
      }
    });
  });
});
