import { expect } from "chai";
import type { PublishOutcome } from "../../../src/broker/api.js";
import { until } from "../../support/condition.js";
import { newMessage } from "../../support/messages.js";
import { offset } from "../../../src/core/units.js";
import { Bench, failure, run, settled } from "./broker-harness.js";

describe("Broker", () => {
  describe("with queues", () => {
    it("makes one on request, with an id, a time and nothing in it", async () => {
      const bench = await Bench.start({ autoCreateQueues: false });
      const info = await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: {} });
      expect(info).to.deep.equal({
        name: "orders",
        ordering: "UNORDERED",
        own: {},
        queueId: info.queueId,
        createTimeMs: bench.clock.wall(),
        headOffset: 0,
        firstOffset: 1,
        messageCount: 0,
        bytes: 0,
        subscriberCount: 0,
        clientCount: 0,
        deadLetterCount: 0,
        scheduledCount: 0,
        lastPublishTimeMs: undefined,
      });
      expect(info.queueId).to.match(/^[0-9a-f]{32}$/);
      expect(await bench.accepted([{}])).to.include({ firstOffset: 1 });
    });

    it("answers the queue that is there when it is asked for again", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      const again = await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: {} });
      expect(again).to.deep.include({ queueId: (await bench.broker.getQueue("orders")).queueId, headOffset: 1 });
    });

    it("keeps the order of an ordered one, across sessions", async () => {
      const bench = await Bench.start();
      await bench.broker.createQueue({ name: "lanes", ordering: "ORDERED", own: {} });
      await bench.accepted([{}, {}, { orderingKey: "other" }], { queue: "lanes" });
      const a = await bench.subscribe({ queue: "lanes", subscriber: "worker" });
      expect(a.heard.facts?.ordered).to.equal(true);
      expect(await a.received(2)).to.deep.equal([1, 3]);
      const b = await bench.subscribe({ queue: "lanes", subscriber: "worker" });
      a.lost();
      expect(await b.received(2)).to.deep.equal([1, 3]);
      await b.settle({ acks: [{ first: offset(1), last: offset(1), batchId: 0 }] });
      expect(await b.received(3)).to.deep.equal([1, 3, 2]);
    });

    it("makes one once, however many publishers and subscribers ask for it at the same time", async () => {
      const bench = await Bench.start();
      const [a, b] = await Promise.all([bench.subscribe({ subscriber: "a" }), bench.subscribe({ subscriber: "b" }), bench.publishMany(1), bench.publishMany(1)]);
      expect(a.heard.facts?.queueId).to.equal(b.heard.facts?.queueId);
      expect(bench.journalLines.filter((line) => line === "queue created")).to.have.length(1);
    });

    it("lists them by name, a page at a time", async () => {
      const bench = await Bench.start();
      for (const queue of ["c", "a", "d", "b"]) await bench.accepted([{}], { queue });
      const first = await bench.broker.listQueues(undefined, 3);
      expect(first.map(({ name }) => name)).to.deep.equal(["a", "b", "c"]);
      expect((await bench.broker.listQueues("c", 3)).map(({ name }) => name)).to.deep.equal(["d"]);
    });

    it("knows them and what is in them after a restart", async () => {
      const bench = await Bench.start();
      await bench.publishMany(7);
      (await bench.subscribe()).lost();
      const before = await bench.broker.getQueue("orders");
      await bench.crashAndRestart();
      expect(await bench.broker.getQueue("orders")).to.deep.equal(before);
      expect(before).to.include({ headOffset: 7, messageCount: 7, subscriberCount: 1, lastPublishTimeMs: bench.clock.wall() });
    });

    it("counts sessions and dead letters of all their subscribers, and knows when they were last published to", async () => {
      const bench = await Bench.start();
      const a = await bench.subscribe({ subscriber: "a" });
      await bench.subscribe({ subscriber: "" });
      await bench.publishMany(2);
      await a.received(2);
      const publishedMs = bench.clock.wall();
      bench.clock.advance(1_000);
      await a.settle({ rejects: [{ range: run(1), reason: "bad" }] });
      expect(await bench.broker.getQueue("orders")).to.include({ clientCount: 2, deadLetterCount: 1, lastPublishTimeMs: publishedMs });
      a.lost();
      expect(await bench.broker.getQueue("orders")).to.include({ clientCount: 1, deadLetterCount: 1 });
    });

    it("deletes one: sessions end, publishers are told, and the name begins anew with another id", async () => {
      const bench = await Bench.start();
      const { queueId } = await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: {} });
      const durable = await bench.subscribe();
      const ephemeral = await bench.subscribe({ subscriber: "" });
      await bench.publishMany(3);
      await durable.received(3);
      const release = bench.faults.holdCommits();
      const pending = bench.publish([{}]);
      await settled();
      const deleted = bench.broker.deleteQueue("orders");
      release();
      await deleted;
      expect((await durable.ended())?.reason).to.equal("QUEUE_DELETED");
      expect((await ephemeral.ended())?.reason).to.equal("QUEUE_DELETED");
      const outcome = await pending;
      expect(outcome.ok || outcome.error.reason).to.be.oneOf([true, "QUEUE_DELETED"]);
      expect((await failure(bench.broker.getQueue("orders"))).reason).to.equal("QUEUE_NOT_FOUND");
      expect((await failure(bench.broker.deleteQueue("orders"))).reason).to.equal("QUEUE_NOT_FOUND");
      expect(await bench.accepted([{}])).to.include({ firstOffset: 1 });
      expect((await bench.broker.getQueue("orders")).queueId).to.not.equal(queueId);
      expect(await bench.broker.listSubscribers("orders", undefined, 10)).to.deep.equal([]);
    });

    it("finishes a deletion that a crash cut short", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      const { queueId } = await bench.broker.getQueue("orders");
      await bench.engine.catalog.commit([
        { key: "q/orders", value: null, expect: "any" },
        { key: `x/${queueId}`, value: Buffer.alloc(0), expect: "any" },
      ]);
      await bench.crashAndRestart();
      expect(await bench.engine.catalog.list("x/", undefined, 10)).to.deep.equal([]);
      expect(bench.disk.queue(queueId).chunks).to.have.length(0);
    });

    it("opens no session on an incarnation that is gone, and makes no queue for it", async () => {
      const bench = await Bench.start();
      const { queueId } = await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: {} });
      expect((await bench.subscribe({ queueId })).heard.facts?.queueId).to.equal(queueId);
      await bench.broker.deleteQueue("orders");
      expect((await failure(bench.subscribe({ queueId }))).reason).to.equal("QUEUE_ID_MISMATCH");
      expect((await failure(bench.broker.getQueue("orders"))).reason).to.equal("QUEUE_NOT_FOUND");
      await bench.publishMany(1);
      expect((await failure(bench.subscribe({ queueId }))).reason).to.equal("QUEUE_ID_MISMATCH");
    });
  });

  describe("stopping", () => {
    it("tells sessions to go, takes their last settles, and ends them with a retriable error", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(2);
      await session.received(2);
      const stopped = bench.broker.stop(10_000);
      expect(session.heard.goneAway).to.have.length(1);
      expect(session.heard.ended).to.equal(false);
      await session.ack(1, 2);
      const error = await session.ended();
      expect(error?.reason).to.equal("DRAINING");
      expect(error?.retryAfterMs).to.be.greaterThan(0);
      await stopped;
    });

    it("takes no new work", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(1);
      await session.received(1);
      const stopped = bench.broker.stop(10_000);
      expect((await bench.refused([{}])).reason).to.equal("DRAINING");
      for (const call of [bench.subscribe(), bench.broker.getQueue("orders"), bench.broker.createQueue({ name: "x", ordering: "UNORDERED", own: {} }), bench.broker.deleteQueue("orders")]) {
        expect((await failure(call)).reason).to.equal("DRAINING");
      }
      session.session.lost();
      await stopped;
    });

    it("waits no longer than its grace for what is held, gives it back uncounted, and stores what was settled", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(3);
      await session.received(3);
      session.session.settle(0n, { acks: [run(1)], ackThroughBatchId: 0, retries: [], rejects: [], releases: [], extends: [], extendAllMs: undefined });
      const stopped = bench.broker.stop(10_000);
      bench.clock.advance(9_999);
      await settled();
      expect(session.heard.ended).to.equal(false);
      bench.clock.advance(1);
      await stopped;
      expect(session.heard.error?.reason).to.equal("DRAINING");
      expect(bench.clock.pendingCount).to.equal(0);
      await bench.crashAndRestart();
      const next = await bench.subscribe();
      expect(await next.received(2)).to.deep.equal([2, 3]);
      expect(next.heard.batches[0]?.facts.deliveryCount).to.equal(1);
    });

    it("answers what was published before", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      const release = bench.faults.holdCommits();
      const outcomes: PublishOutcome[] = [];
      bench.broker.publish({ queue: "orders", messages: [newMessage()], expectedLastOffset: undefined, independent: false }, (outcome) => outcomes.push(outcome));
      const stopped = bench.broker.stop(1_000);
      await settled();
      release();
      await stopped;
      expect(outcomes[0]).to.include({ ok: true, firstOffset: 2 });
    });

    it("ends although the disk does not answer, and promises nothing about what is in flight", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      bench.faults.holdCommits();
      const outcomes: PublishOutcome[] = [];
      void bench.publish([{}]).then((outcome) => outcomes.push(outcome));
      await settled();
      void bench.publish([{}]).then((outcome) => outcomes.push(outcome));
      await settled();
      let stopped = false;
      void bench.broker.stop(1_000).then(() => (stopped = true));
      await bench.advanceUntil("the end", () => stopped, 1_000);
      expect(bench.journalLines.join()).to.contain("last commit");
      // Only the one that was never on its way: nobody knows about the other.
      expect(outcomes.map((outcome) => outcome.ok || outcome.error.reason)).to.deep.equal(["DRAINING"]);
    });

    it("is the same stop, however often it is asked for", async () => {
      const bench = await Bench.start();
      expect(bench.broker.stop(1_000)).to.equal(bench.broker.stop(5));
      await bench.broker.stop(1_000);
    });
  });

  it("keeps nothing of what has gone: sessions, queues and their timers", async () => {
    const bench = await Bench.start();
    for (let round = 0; round < 20; round++) {
      const queue = `queue-${round}`;
      const session = await bench.subscribe({ queue });
      const ephemeral = await bench.subscribe({ queue, subscriber: "", heartbeatMs: 1_000 });
      await bench.accepted([{}], { queue });
      await Promise.all([session.received(1), ephemeral.received(1)]);
      await bench.broker.deleteQueue(queue);
    }
    expect(bench.broker.listClients(undefined, undefined, 10)).to.deep.equal([]);
    bench.clock.advance(120_000);
    await until("no timer is left", 2_000, () => bench.clock.pendingCount === 0);
  });
});
