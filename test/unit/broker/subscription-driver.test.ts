import { expect } from "chai";
import { decodeDeadLetter } from "../../../src/broker/dead-letter-record.js";
import { DEFAULTS } from "../../../src/core/limits.js";
import { decodeMessage } from "../../../src/core/message-codec.js";
import type { Entry } from "../../../src/ports/state.js";
import { until } from "../../support/condition.js";
import { newMessage } from "../../support/messages.js";
import { Bench, run, settled } from "./broker-harness.js";
import type { TestSession } from "./broker-harness.js";

async function deadLetters(bench: Bench): Promise<readonly Entry[]> {
  const { queueId } = await bench.broker.getQueue("orders");
  return bench.engine.state(queueId).list("d/billing/", undefined, 1_000);
}

describe("A subscription", () => {
  it("delivers only what is durable, after its publisher was answered", async () => {
    const bench = await Bench.start();
    const { heard } = await bench.subscribe();
    const release = bench.faults.holdCommits();
    let deliveredBefore: number | undefined;
    bench.broker.publish({ queue: "orders", messages: [newMessage()], expectedLastOffset: undefined, independent: false }, () => {
      deliveredBefore = heard.batches.length;
    });
    await settled();
    expect(heard.batches).to.have.length(0);
    release();
    await until("the delivery", 2_000, () => heard.batches.length === 1);
    expect(deliveredBefore).to.equal(0);
    expect(heard.frames.slice(0, 1)).to.deep.equal(["opened"]);
  });

  it("confirms a settle only after the cursor is durable", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(3);
    await session.received(3);
    const release = bench.faults.holdCommits();
    const id = session.send({ acks: [run(1, 2)] });
    await settled();
    expect(session.resultOf(id)).to.equal(undefined);
    release();
    const result = await until("the result", 2_000, () => session.resultOf(id) ?? false);
    expect(result).to.include({ committedOffset: 2 });
    expect(result.failures).to.deep.equal([]);
  });

  it("shares one commit among all settles that come while one is in flight", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(20);
    await session.received(20);
    const before = bench.faults.commits;
    const release = bench.faults.holdCommits();
    for (let at = 1; at <= 20; at++) session.send({ acks: [run(at)] });
    await settled();
    release();
    await until("every result", 2_000, () => session.heard.results.flatMap(({ requestIds }) => requestIds).length === 20);
    expect(bench.faults.commits - before).to.equal(2);
  });

  it("makes a settle without a request id durable within 100 ms", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(1);
    await session.received(1);
    session.session.settle(0n, { acks: [run(1)], ackThroughBatchId: 0, retries: [], rejects: [], releases: [], extends: [], extendAllMs: undefined });
    await settled();
    expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(0);
    bench.clock.advance(100);
    await settled();
    expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(1);
    expect(session.heard.results).to.deep.equal([]);
  });

  it("names what could not be settled and applies the rest", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(2);
    await session.received(2);
    const result = await session.settle({ acks: [run(1), run(77)] });
    expect(result.failures.map(({ range, code }) => [range.first, code])).to.deep.equal([[77, "NOT_HELD"]]);
    expect(result.committedOffset).to.equal(1);
  });

  it("goes on from its offset after a restart: settled never comes again, unsettled does", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(10);
    await session.received(10);
    await session.settle({ acks: [run(1, 4), run(7)], retries: [{ range: run(5), delayMs: 0, reason: "later" }] });
    await bench.crashAndRestart();
    const again = await bench.subscribe();
    expect(again.heard.facts).to.include({ committedOffset: 4, created: false, backlogCount: 5 });
    expect([...(await again.received(5))].sort((a, b) => a - b)).to.deep.equal([5, 6, 8, 9, 10]);
    const retried = again.heard.batches.find(({ messages }) => messages.some(({ offset }) => offset === 5));
    expect(retried?.facts).to.include({ attempt: 2, cause: "RETRY", lastReason: "later" });
  });

  it("reads a backlog of many chunks from the log, in order", async () => {
    const bench = await Bench.start();
    for (let i = 0; i < 10; i++) await bench.publishMany(500);
    const session = await bench.subscribe({ flow: { maxMessages: 10_000, maxBytes: 0, paused: false } });
    expect(await session.received(5_000)).to.deep.equal(Array.from({ length: 5_000 }, (_, i) => i + 1));
    const { messages } = session.heard.batches[0]!;
    expect(messages[3]?.payload.toString()).to.equal("3");
  });

  it("shares its messages among its sessions, and gives what a lost one held to the others", async () => {
    const bench = await Bench.start();
    const flow = { maxMessages: 5, maxBytes: 0, paused: false };
    const a = await bench.subscribe({ flow });
    const b = await bench.subscribe({ flow });
    await bench.publishMany(10);
    await Promise.all([a.received(5), b.received(5)]);
    const held = [...a.offsets];
    a.session.lost();
    b.session.flow({ maxMessages: 10, maxBytes: 0, paused: false });
    await b.received(10);
    expect([...b.offsets.slice(5)].sort((x, y) => x - y)).to.deep.equal(held.sort((x, y) => x - y));
    expect(b.heard.batches.at(-1)?.facts).to.include({ cause: "DISCONNECT", deliveryCount: 2 });
  });

  it("gives a message back when its lease has run out", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ ackTimeoutMs: 5_000 });
    await bench.publishMany(1);
    await session.received(1);
    bench.clock.advance(5_000);
    await session.received(2);
    expect(session.heard.batches[1]?.facts).to.include({ cause: "TIMEOUT", deliveryCount: 2, batchId: 2 });
  });

  it("gives a retried message back after its delay, not before", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(1);
    await session.received(1);
    await session.settle({ retries: [{ range: run(1), delayMs: 2_000, reason: "" }] });
    bench.clock.advance(1_999);
    await settled();
    expect(session.offsets).to.deep.equal([1]);
    bench.clock.advance(1);
    await session.received(2);
  });

  it("delivers to an ephemeral subscriber what comes from now on, and stores nothing of it", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const session = await bench.subscribe({ subscriber: "" });
    await bench.publishMany(2);
    expect(await session.received(2)).to.deep.equal([4, 5]);
    const before = bench.faults.commits;
    await session.settle({ acks: [run(4)], rejects: [{ range: run(5), reason: "no" }] });
    expect(bench.faults.commits).to.equal(before);
    expect(await bench.broker.listSubscribers("orders", undefined, 10)).to.deep.equal([]);
    session.session.lost();
    expect(bench.broker.listClients(undefined, undefined, 10)).to.deep.equal([]);
  });

  it("passes over stored messages that fail their checksum, and says so", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    await bench.publishMany(2);
    await bench.publishMany(2);
    const { queueId } = await bench.broker.getQueue("orders");
    bench.disk.corrupt(queueId, 3, "body");
    const session = await bench.subscribe();
    expect(await session.received(4)).to.deep.equal([1, 2, 5, 6]);
    expect(session.heard.gaps).to.deep.equal([{ first: 3, last: 4, matchingCount: 2 }]);
    expect(bench.journalLines.join()).to.contain("checksum");
  });

  it("ends sessions with a retriable error and loads again when somebody else has written the cursor", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(2);
    await session.received(2);
    await session.ack(1);
    bench.faults.conflictingStateCommits = 1;
    session.send({ acks: [run(2)] });
    const error = await session.ended();
    expect(error?.reason).to.equal("SUBSCRIPTION_MOVED");
    expect(error?.retryAfterMs).to.be.greaterThan(0);
    const again = await bench.subscribe();
    expect(again.heard.facts).to.include({ committedOffset: 1, created: false });
    expect(await again.received(1)).to.deep.equal([2]);
  });

  it("sends nothing to a session whose transport is full, and goes on when it has room", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ ackMode: "AUTO" });
    session.session.transportChanged(false);
    await bench.publishMany(3);
    await settled();
    expect(session.offsets).to.deep.equal([]);
    session.session.transportChanged(true);
    expect(await session.received(3)).to.deep.equal([1, 2, 3]);
  });

  it("settles under AUTO what the transport took", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ ackMode: "AUTO" });
    await bench.publishMany(3);
    await session.received(3);
    for (const { facts } of session.heard.batches) session.session.taken(facts.batchId);
    bench.clock.advance(100);
    await settled();
    expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(3);
  });

  describe("gives messages up", () => {
    async function rejected(bench: Bench, count: number): Promise<TestSession> {
      const session = await bench.subscribe();
      await bench.publishMany(count);
      await session.received(count);
      await session.settle({ rejects: [{ range: run(1, count), reason: "no such customer" }] });
      return session;
    }

    it("and keeps a copy with reason, counts, holder and time", async () => {
      const bench = await Bench.start();
      const session = await rejected(bench, 1);
      const [letter, ...others] = await deadLetters(bench);
      expect(others).to.deep.equal([]);
      expect(letter?.key).to.equal("d/billing/0000000000000001");
      const record = decodeDeadLetter(letter!.value);
      expect(record).to.include({ reason: "REJECTED", detail: "no such customer", attempts: 1, deliveries: 1, holderClient: "test", holderSession: session.session.id });
      expect(record.deadLetterTimeMs).to.equal(bench.clock.wall());
      expect(decodeMessage(record.message)).to.include({ offset: 1, event: "order.created" });
    });

    it("in the same commit as the cursor: both are there after a crash, or neither", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(1);
      await session.received(1);
      const release = bench.faults.holdCommits();
      const id = session.send({ rejects: [{ range: run(1), reason: "" }] });
      await settled();
      expect(session.resultOf(id)).to.equal(undefined);
      await bench.crashAndRestart();
      expect(await deadLetters(bench)).to.have.length(0);
      expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(0);
      release();
    });

    it("and counts them, across restarts", async () => {
      const bench = await Bench.start();
      await rejected(bench, 3);
      expect((await bench.broker.getSubscriber("orders", "billing")).deadLetterCount).to.equal(3);
      await bench.crashAndRestart();
      expect((await bench.subscribe()).heard.facts).to.include({ deadLetterCount: 3, committedOffset: 3 });
    });

    it("a thousand at once, in slices", async () => {
      const bench = await Bench.start();
      const session = await rejected(bench, 1_000);
      expect(await deadLetters(bench)).to.have.length(1_000);
      expect((await bench.broker.getSubscriber("orders", "billing")).deadLetterCount).to.equal(1_000);
      await until("every notice", 2_000, () => session.heard.notices.filter(({ reason }) => reason === "DEAD_LETTERED").length === 1_000);
    });

    it("and leaves a copy that is already there as it is", async () => {
      const bench = await Bench.start();
      await bench.publishMany(1);
      const { queueId } = await bench.broker.getQueue("orders");
      await bench.engine.state(queueId).commit([{ key: "d/billing/0000000000000001", value: Buffer.from("earlier"), expect: "any" }]);
      const session = await bench.subscribe({ start: { kind: "earliest" } });
      // Making a subscriber clears what an older one of its name has left; put it there again.
      await bench.engine.state(queueId).commit([{ key: "d/billing/0000000000000001", value: Buffer.from("earlier"), expect: "any" }]);
      await session.received(1);
      const result = await session.settle({ rejects: [{ range: run(1), reason: "" }] });
      expect(result.committedOffset).to.equal(1);
      expect((await deadLetters(bench)).map(({ value }) => value.toString())).to.deep.equal(["earlier"]);
    });

    it("after the last attempt", async () => {
      const bench = await Bench.start({ maxAttempts: 2 });
      const session = await bench.subscribe();
      await bench.publishMany(1);
      await session.received(1);
      await session.settle({ retries: [{ range: run(1), delayMs: 0, reason: "first" }] });
      await session.received(2);
      await session.settle({ retries: [{ range: run(1), delayMs: 0, reason: "second" }] });
      const [letter] = await deadLetters(bench);
      expect(decodeDeadLetter(letter!.value)).to.include({ reason: "MAX_ATTEMPTS", detail: "second", attempts: 2 });
    });

    it("after too many hand-outs without a verdict", async () => {
      const bench = await Bench.start({ maxDeliveries: 3 });
      const session = await bench.subscribe({ ackTimeoutMs: 1_000 });
      await bench.publishMany(1);
      await bench.advanceUntil("the dead letter", async () => (await deadLetters(bench)).length === 1, 1_000);
      expect(session.offsets).to.deep.equal([1, 1, 1]);
    });
  });

  describe("counts its backlog", () => {
    it("without a filter by arithmetic, in deliveries and for whoever asks", async () => {
      const bench = await Bench.start();
      await bench.publishMany(10);
      const session = await bench.subscribe({ flow: { maxMessages: 4, maxBytes: 0, paused: false } });
      expect(session.heard.facts?.backlogCount).to.equal(10);
      await session.received(4);
      expect(session.heard.batches[0]?.backlogCount).to.equal(6);
      expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ backlogCount: 6, inFlightCount: 4 });
    });

    it("with a filter from chunk headers, exactly", async () => {
      const bench = await Bench.start();
      for (let i = 0; i < 30; i++) await bench.accepted([{ event: "order.created" }, { event: "noise" }, { event: "order.paid" }, { event: "noise" }]);
      const session = await bench.subscribe({ events: ["order.*"], flow: { maxMessages: 7, maxBytes: 0, paused: false } });
      expect(session.heard.facts?.backlogCount).to.equal(60);
      await session.received(7);
      expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(53);
      for (let i = 0; i < 5; i++) await bench.accepted([{ event: "order.created" }, { event: "noise" }]);
      expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(58);
      while (session.offsets.length < 65) {
        const before = session.offsets.length;
        await session.ack(1, session.offsets.at(-1));
        await session.received(before + 1);
      }
      expect(session.heard.batches.at(-1)?.backlogCount).to.equal(0);
      expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(0);
    });

    it("of what waits for a retry as well, but not of what is in flight", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(3);
      await session.received(3);
      await session.settle({ retries: [{ range: run(1), delayMs: 60_000, reason: "" }] });
      expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ backlogCount: 1, inFlightCount: 2, waitingRetryCount: 1 });
    });
  });

  it("keeps its window: no more in flight than the session allows", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1_000);
    await bench.publishMany(1_000);
    const session = await bench.subscribe();
    await session.received(DEFAULTS.flowMessages);
    await settled();
    expect(session.offsets).to.have.length(DEFAULTS.flowMessages);
  });
});
