import { expect } from "chai";
import type { PublishOutcome } from "../../../src/broker/api.js";
import { LIMITS } from "../../../src/core/limits.js";
import { until } from "../../support/condition.js";
import { newMessage } from "../../support/messages.js";
import { Bench, settled } from "./broker-harness.js";

const MIB = 1024 * 1024;

describe("Publisher", () => {
  it("answers a publish only after it is durable", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const release = bench.faults.holdCommits();
    const outcomes: PublishOutcome[] = [];
    void bench.publish([{}]).then((outcome) => outcomes.push(outcome));
    await settled();
    expect(outcomes).to.deep.equal([]);
    release();
    await until("the answer", 2_000, () => outcomes.length === 1);
    expect(outcomes[0]).to.include({ ok: true, firstOffset: 2, duplicate: false });
  });

  it("answers nobody when a commit failed", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    bench.faults.failingCommit = bench.faults.commits + 1;
    const outcomes: PublishOutcome[] = [];
    void bench.publish([{}]).then((outcome) => outcomes.push(outcome));
    await bench.engine.failed;
    await settled();
    expect(outcomes).to.deep.equal([]);
  });

  it("never answers before publish has returned", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    for (const messages of [[newMessage()], [newMessage({ payload: Buffer.alloc(2 * MIB) })]]) {
      let returned = false;
      await new Promise<void>((resolve) => {
        bench.broker.publish({ queue: "orders", messages, expectedLastOffset: undefined, independent: false }, () => {
          expect(returned).to.equal(true);
          resolve();
        });
        returned = true;
      });
    }
  });

  it("gives what was published in one turn consecutive offsets and one commit, and answers in the order of the calls", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const before = bench.faults.commits;
    const answered: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        answered.push((await bench.accepted([{}])).firstOffset);
      }),
    );
    expect(answered).to.deep.equal(Array.from({ length: 50 }, (_, i) => i + 2));
    expect(bench.faults.commits - before).to.equal(1);
  });

  it("fills the next batch while a commit is in flight", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const before = bench.faults.commits;
    const release = bench.faults.holdCommits();
    const first = bench.accepted([{}]);
    await settled();
    const others = Promise.all([bench.accepted([{}]), bench.accepted([{}]), bench.accepted([{}])]);
    await settled();
    release();
    expect((await first).firstOffset).to.equal(2);
    expect((await others).map(({ firstOffset }) => firstOffset)).to.deep.equal([3, 4, 5]);
    expect(bench.faults.commits - before).to.equal(2);
  });

  it("appends a megabyte at a time of what has gathered, in order", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const release = bench.faults.holdCommits();
    const first = bench.accepted([{}]);
    await settled();
    const before = bench.faults.commits;
    const answered: (number | string)[] = [];
    const large = Array.from({ length: 12 }, async () => {
      answered.push((await bench.accepted([{ payload: Buffer.alloc(300_000) }])).firstOffset);
    });
    release();
    await first;
    await Promise.all(large);
    expect(answered).to.deep.equal(Array.from({ length: 12 }, (_, i) => i + 3));
    expect(bench.faults.commits - before, "three messages an append").to.equal(4);
  });

  it("answers a megabyte of duplicates behind what is being stored, without an append", async () => {
    const bench = await Bench.start();
    const payload = Buffer.alloc(300_000);
    await bench.accepted([{ messageId: "a", payload }]);
    const release = bench.faults.holdCommits();
    const answered: number[] = [];
    const all = [{}, ...Array.from({ length: 8 }, () => ({ messageId: "a", payload })), {}].map(async (message) => {
      answered.push((await bench.accepted([message])).firstOffset);
    });
    await settled();
    expect(answered).to.deep.equal([]);
    release();
    await Promise.all(all);
    expect(answered).to.deep.equal([2, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
  });

  it("keeps order and answers for publishes that wait for their queue to open", async () => {
    const bench = await Bench.start();
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => bench.accepted([{ payload: Buffer.from(String(i)) }])));
    expect(outcomes.map(({ firstOffset }) => firstOffset)).to.deep.equal(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  it("refuses publishes to a queue that is not there when queues are not made by themselves", async () => {
    const bench = await Bench.start({ autoCreateQueues: false });
    const errors = await Promise.all([bench.refused([{}]), bench.refused([{}])]);
    expect(errors.map(({ reason }) => reason)).to.deep.equal(["QUEUE_NOT_FOUND", "QUEUE_NOT_FOUND"]);
  });

  it("never lets a publish time go back when the wall clock does, nor across a restart", async () => {
    const bench = await Bench.start();
    const first = await bench.accepted([{}]);
    bench.clock.jumpWall(-60_000);
    expect((await bench.accepted([{}])).publishTimeMs).to.equal(first.publishTimeMs);
    await bench.crashAndRestart();
    expect((await bench.accepted([{}])).publishTimeMs).to.equal(first.publishTimeMs);
    bench.clock.jumpWall(120_000);
    expect((await bench.accepted([{}])).publishTimeMs).to.equal(first.publishTimeMs + 60_000);
  });

  it("counts the durable subscribers that take a message, and the messages that nobody takes", async () => {
    const bench = await Bench.start();
    await bench.subscribe({ subscriber: "all" });
    await bench.subscribe({ subscriber: "orders", events: ["order.*"] });
    await bench.subscribe({ subscriber: "", events: ["**"] });
    expect(await bench.accepted([{ event: "order.created" }])).to.include({ matchedSubscribers: 2, unmatchedCount: 0 });
    expect(await bench.accepted([{ event: "invoice.sent" }])).to.include({ matchedSubscribers: 1, unmatchedCount: 0 });
    await bench.broker.deleteSubscriber("orders", "all");
    expect(await bench.accepted([{ event: "invoice.sent" }, { event: "order.created" }, { event: "x" }])).to.include({ matchedSubscribers: 0, unmatchedCount: 2 });
  });

  it("stores nothing of a message over its limit, and names both sizes", async () => {
    const bench = await Bench.start();
    const error = await bench.refused([{ payload: Buffer.alloc(MIB) }]);
    expect(error.reason).to.equal("MESSAGE_TOO_LARGE");
    expect(error.message).to.match(/10486\d\d bytes.* 1048576/);
    expect((await bench.publishMany(1)).firstOffset).to.equal(1);
  });

  it("stores nothing of a batch over its limit", async () => {
    const bench = await Bench.start();
    const error = await bench.refused(Array.from({ length: 4 }, () => ({ payload: Buffer.alloc(MIB - 1_024) })));
    expect(error.reason).to.equal("BATCH_TOO_LARGE");
    expect((await bench.publishMany(1)).firstOffset).to.equal(1);
  });

  it("keeps a batch whole over several chunks", async () => {
    const bench = await Bench.start();
    const outcome = await bench.accepted(Array.from({ length: 3 }, () => ({ payload: Buffer.alloc(200_000) })));
    expect(outcome.firstOffset).to.equal(1);
    expect(await bench.broker.getQueue("orders")).to.include({ headOffset: 3, messageCount: 3, firstOffset: 1 });
  });

  it("refuses new messages while the disk is full, and takes them again when it is not", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    bench.faults.hasRoom = false;
    const error = await bench.refused([{}]);
    expect(error.reason).to.equal("DISK_FULL");
    expect(error.retryAfterMs).to.be.greaterThan(0);
    bench.faults.hasRoom = true;
    expect((await bench.publishMany(1)).firstOffset).to.equal(2);
  });

  describe("when more comes in than can be stored", () => {
    it("asks to stop at the bound, refuses at twice the bound, and calls back when there is room", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      const release = bench.faults.holdCommits();
      const stalled = bench.accepted([{}]);
      await settled();
      const outcomes: PublishOutcome[] = [];
      const send = (): boolean =>
        bench.broker.publish({ queue: "orders", messages: [newMessage({ payload: Buffer.alloc(MIB / 2) })], expectedLastOffset: undefined, independent: false }, (outcome) => outcomes.push(outcome));
      let sent = 1;
      while (send()) sent++;
      expect(sent * (MIB / 2)).to.be.within(LIMITS.openBatchBytesMax - MIB, LIMITS.openBatchBytesMax + MIB);
      let writable = false;
      bench.broker.whenWritable("orders", () => (writable = true));
      while (outcomes.length === 0 && sent < 200) {
        send();
        sent++;
        await settled(1);
      }
      expect(outcomes[0]).to.have.nested.property("error.reason", "PUBLISH_BACKLOG");
      expect(outcomes[0]).to.have.nested.property("error.retryAfterMs").that.is.greaterThan(0);
      expect(writable).to.equal(false);
      release();
      await stalled;
      await until("room", 2_000, () => writable);
      await until("every answer", 2_000, () => outcomes.length === sent);
      expect(outcomes.filter(({ ok }) => !ok)).to.have.length(1);
    });

    it("bounds frames that store nothing, too", async () => {
      const bench = await Bench.start();
      await bench.accepted([{ messageId: "a" }]);
      const release = bench.faults.holdCommits();
      const stalled = bench.accepted([{}]);
      await settled();
      let sent = 0;
      while (sent < 100_000 && bench.broker.publish({ queue: "orders", messages: [newMessage({ messageId: "a" })], expectedLastOffset: undefined, independent: false }, () => undefined)) sent++;
      expect(sent).to.be.lessThan(100_000);
      release();
      await stalled;
    });

    it("bounds what waits for a queue to open, too", async () => {
      const bench = await Bench.start();
      const release = bench.faults.holdCommits();
      const outcomes: PublishOutcome[] = [];
      const send = (): boolean =>
        bench.broker.publish({ queue: "orders", messages: [newMessage({ payload: Buffer.alloc(MIB / 2) })], expectedLastOffset: undefined, independent: false }, (outcome) => outcomes.push(outcome));
      let sent = 1;
      while (send()) sent++;
      expect(sent * (MIB / 2)).to.be.within(LIMITS.openBatchBytesMax - MIB, LIMITS.openBatchBytesMax + MIB);
      while (sent < 60) {
        send();
        sent++;
      }
      await until("a refusal", 2_000, () => outcomes.length > 0);
      expect(outcomes.every((outcome) => !outcome.ok && outcome.error.reason === "PUBLISH_BACKLOG")).to.equal(true);
      release();
      await until("every answer", 2_000, () => outcomes.length === 60);
      const offsets = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.firstOffset] : []));
      expect(offsets).to.deep.equal(offsets.map((_, i) => i + 1));
    });

    it("calls a writer back at once, but not in the same turn, when there is room", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      let called = false;
      bench.broker.whenWritable("orders", () => (called = true));
      expect(called).to.equal(false);
      await settled(2);
      expect(called).to.equal(true);
    });
  });

  describe("when another writer has appended first", () => {
    it("judges everything that waits again and loses nothing", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      bench.faults.conflictingAppends = 2;
      const first = bench.accepted([{ messageId: "a" }]);
      await settled(1);
      const [a, b, again] = await Promise.all([first, bench.accepted([{ messageId: "b" }]), bench.accepted([{ messageId: "a" }])]);
      expect(a).to.include({ firstOffset: 2, duplicate: false });
      expect(b).to.include({ firstOffset: 3, duplicate: false });
      expect(again).to.include({ firstOffset: 2, duplicate: true });
    });

    it("judges an expected last offset against what is there now", async () => {
      const bench = await Bench.start();
      await bench.publishMany(3);
      bench.faults.conflictingAppends = 1;
      expect(await bench.accepted([{}], { expectedLastOffset: 3 })).to.include({ firstOffset: 4 });
    });
  });
});
