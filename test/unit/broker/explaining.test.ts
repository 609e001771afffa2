import { expect } from "chai";
import type { MessageExplanation } from "../../../src/broker/explanation-api.js";
import type { NewSubscriber } from "../../../src/broker/subscriber-api.js";
import { EventFilter } from "../../../src/core/event-filter.js";
import { offset } from "../../../src/core/units.js";
import { Bench, failure, run } from "./broker-harness.js";

function make(bench: Bench, name: string, parts: Partial<NewSubscriber> = {}): Promise<unknown> {
  return bench.broker.createSubscriber({ queue: "orders", name, events: [], start: { kind: "earliest" }, own: {}, paused: false, resumeTimeMs: undefined, ...parts });
}

async function explained(bench: Bench, at: number, subscriber = "billing"): Promise<MessageExplanation> {
  const [explanation] = await bench.broker.explainMessage("orders", offset(at), subscriber);
  if (explanation === undefined) throw new Error("no explanation");
  return explanation;
}

describe("The explanation of a message", () => {
  it("tells where it stands with each subscriber, in facts and in a sentence", async () => {
    const bench = await Bench.start();
    await bench.accepted([{ event: "order.created" }]);
    await make(bench, "audit", { events: ["refund.*", "order.paid"] });
    await make(bench, "late", { start: { kind: "after_offset", offset: offset(1) } });
    await make(bench, "sleeper");
    const session = await bench.subscribe({ ackTimeoutMs: 60_000 });
    await session.received(1);
    bench.clock.advance(2_500);
    const all = await bench.broker.explainMessage("orders", offset(1), undefined);
    expect(all.map(({ subscriber, reason, sentence }) => [subscriber, reason, sentence])).to.deep.equal([
      ["audit", "FILTERED", "Message 1 is passed over: the filter of audit takes order.paid, refund.*."],
      ["billing", "IN_FLIGHT", "Message 1 is in flight with test at 127.0.0.1:1 since 2026-01-01T00:00:00.000Z (2.5 s ago), attempt 1, hand-out 1; 58 s of the lease are left."],
      ["late", "BEFORE_START", "Message 1 lies before the place where late began."],
      ["sleeper", "NO_CLIENT", "Message 1 waits: nobody is connected."],
    ]);
    expect(all[1]?.holder).to.include({ session: session.session.id, batchId: 1, leaseLeftMs: 57_500 });
    expect(all[0]?.events).to.deep.equal(["order.paid", "refund.*"]);
  });

  it("tells what became of it: settled, a dead letter, or waiting for its retry", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(3);
    await session.received(3);
    await session.settle({ acks: [run(1)], rejects: [{ range: run(2), reason: "bad card" }], retries: [{ range: run(3), delayMs: 90_000, reason: "busy" }] });
    expect((await explained(bench, 1)).sentence).to.equal("Message 1 is settled for billing.");
    const dead = await explained(bench, 2);
    expect(dead).to.include({ reason: "DEAD_LETTERED", deadLetterReason: "REJECTED", attempt: 1, deliveryCount: 1, lastReason: "bad card", settleTimeMs: bench.clock.wall() });
    expect(dead.sentence).to.equal('Message 2 is a dead letter of billing: REJECTED at attempt 1: "bad card".');
    const waiting = await explained(bench, 3);
    expect(waiting).to.include({ reason: "WAITING_FOR_RETRY", attempt: 2, retryTimeMs: bench.clock.wall() + 90_000 });
    expect(waiting.sentence).to.equal('Message 3 waits for a retry, attempt 2, hand-out 1, until 2026-01-01T00:01:30.000Z (in 90 s): "busy".');
    await bench.crashAndRestart();
    expect(await explained(bench, 3)).to.include({ reason: "WAITING_FOR_RETRY", attempt: 2, lastReason: "busy" });
  });

  it("is an answer where there is no message: not yet stored, purged, or gone", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(2);
    await bench.publishMany(2);
    expect(await explained(bench, 5)).to.include({ reason: "NOT_YET_STORED", headOffset: 4, sentence: "Message 5 is not stored yet: the last one of the queue is 4." });
    await bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(1), dryRun: false });
    expect(await explained(bench, 1)).to.include({ reason: "PURGED", firstOffset: 2, sentence: "Message 1 was purged by an operator: the queue begins at 2." });
    await session.received(4);
    await session.ack(2, 4);
    await bench.advanceUntil("everything is trimmed", async () => (await bench.broker.getQueue("orders")).messageCount === 0, 500);
    expect(await explained(bench, 2)).to.include({ reason: "DROPPED_BY_RETENTION", firstOffset: 5, sentence: "Message 2 is gone from the queue, which begins at 5: everybody had settled it, or retention dropped it." });
  });

  it("tells how many come before it, a window that is full, and a pause", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ flow: { maxMessages: 2, maxBytes: 0, paused: false } });
    await bench.publishMany(5);
    await session.received(2);
    const full = await explained(bench, 5);
    expect(full.reason).to.equal("WINDOW_FULL");
    expect(full.window).to.include({ messagesUsed: 2, messagesAllowed: 2 });
    expect(full.sentence).to.equal("Message 5 waits: the windows of all its clients are full (2 of 2 messages); they have to settle something.");
    await bench.broker.updateSubscriber({ queue: "orders", name: "billing", settings: {}, paused: true });
    expect((await explained(bench, 5)).sentence).to.equal("Message 5 waits: an operator paused it.");
  });

  it("tells what a lane waits for", async () => {
    const bench = await Bench.start();
    await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: { onPoison: "BLOCK_LANE", maxAttempts: 1 } });
    const session = await bench.subscribe();
    await bench.accepted([{ orderingKey: "acct-7" }, { orderingKey: "acct-7" }]);
    await session.received(1);
    const behind = await explained(bench, 2);
    expect(behind).to.deep.include({ orderingKey: "acct-7", lane: { blockingOffset: 1, blockingReason: "IN_FLIGHT", blockedByPoison: false } });
    expect(behind.sentence).to.equal('Message 2 waits: in the lane "acct-7", message 1 comes first, and that is in flight.');
    await session.settle({ retries: [{ range: run(1), delayMs: 0, reason: "no money" }] });
    expect((await explained(bench, 1)).sentence).to.equal('Message 1 waits: the lane "acct-7" stands still behind message 1, which is poison after attempt 1: "no money", until somebody retries or rejects it.');
    expect(await bench.broker.explainSubscriber("orders", "billing")).to.deep.include({ reasons: ["LANE_BLOCKED"], headOffset: 2 });
  });

  it("tells a replay for another subscriber, and one that the filter of its own does not take", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(1);
    await make(bench, "audit");
    await session.received(1);
    await session.settle({ rejects: [{ range: run(1), reason: "bad" }] });
    await bench.broker.updateSubscriber({ queue: "orders", name: "billing", settings: {}, events: ["other"] });
    const filter = { offsets: undefined, events: EventFilter.parse([]), reasons: new Set<never>(), afterTimeMs: undefined, beforeTimeMs: undefined };
    await bench.broker.replayDeadLetters("orders", "billing", { filter, limit: Infinity, dryRun: false });
    await session.received(2);
    const [audit, billing] = await bench.broker.explainMessage("orders", offset(2), undefined);
    expect([audit?.reason, billing?.reason]).to.deep.equal(["ADDRESSED_ELSEWHERE", "IN_FLIGHT"]);
    expect(audit?.sentence).to.equal("Message 2 is a replay for another subscriber than audit.");
  });

  it("names a few patterns of a long filter, and leaves out filters when there are too many of them", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const long = Array.from({ length: 64 }, (_, i) => `${"x".repeat(250)}-${String(i).padStart(2, "0")}`);
    for (let i = 0; i < 66; i++) await make(bench, `s${String(i).padStart(2, "0")}`, { events: i === 0 ? ["a", "b", "c", "d", "e", "f", "g"] : long });
    const all = await bench.broker.explainMessage("orders", offset(1), undefined);
    expect(all[0]?.sentence).to.equal("Message 1 is passed over: the filter of s00 takes a, b, c, d, e and 2 more.");
    expect(all.map(({ events }) => events?.length)).to.deep.equal([7, ...Array.from({ length: 64 }, () => 64), undefined]);
  });

  it("is refused where there is no queue or no such subscriber", async () => {
    const bench = await Bench.start();
    expect((await failure(bench.broker.explainMessage("orders", offset(1), undefined))).reason).to.equal("QUEUE_NOT_FOUND");
    await bench.publishMany(1);
    expect(await bench.broker.explainMessage("orders", offset(1), undefined)).to.deep.equal([]);
    expect((await failure(bench.broker.explainMessage("orders", offset(1), "nobody"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
    expect((await failure(bench.broker.explainSubscriber("orders", "nobody"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
  });
});

describe("The explanation of a subscriber", () => {
  it("begins with what to look at first, and tells of its oldest message and its clients", async () => {
    const bench = await Bench.start();
    await bench.accepted([{ event: "x" }]);
    await make(bench, "billing", { events: ["order.*"] });
    const published = bench.clock.wall();
    await bench.accepted([{ event: "order.created" }]);
    bench.clock.advance(60_000);
    const asleep = await bench.broker.explainSubscriber("orders", "billing");
    expect(asleep).to.deep.include({ reasons: ["NO_CLIENT"], backlogCount: 1, headOffset: 2, sessions: [] });
    expect(asleep.oldest).to.deep.include({ offset: 2 });
    expect(asleep.oldest?.explanation).to.include({ reason: "NO_CLIENT" });
    expect(asleep.sentence).to.equal("Subscriber billing: nobody is connected (1 left to deliver, the oldest unsettled one is 2).");
    expect((await bench.broker.getSubscriber("orders", "billing")).oldestUnsettledTimeMs).to.equal(published);

    const session = await bench.subscribe();
    await session.received(1);
    const working = await bench.broker.explainSubscriber("orders", "billing");
    expect(working).to.deep.include({ reasons: ["IN_FLIGHT", "NOTHING_NEW"], backlogCount: 0 });
    expect(working.sessions.map(({ clientId, waitingFor, sentence }) => [clientId, waitingFor, sentence])).to.deep.equal([
      ["test", "NOTHING_NEW", "Client test has everything that there is (1 of 1000 messages in hand)."],
    ]);
    expect(working.oldest?.explanation.reason).to.equal("IN_FLIGHT");
    await session.ack(2);
    const done = await bench.broker.explainSubscriber("orders", "billing");
    expect(done).to.deep.include({ reasons: ["NOTHING_NEW"], oldest: undefined, committedOffset: 2 });
    expect(done.sentence).to.equal("Subscriber billing: everything that matches was delivered (no message is left to deliver).");
    expect((await bench.broker.getSubscriber("orders", "billing")).oldestUnsettledTimeMs).to.equal(undefined);
  });

  it("says that an operator paused it before anything else", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    await make(bench, "billing", { paused: true });
    expect((await bench.broker.explainSubscriber("orders", "billing")).sentence).to.equal("Subscriber billing: an operator paused it; nobody is connected (1 left to deliver, the oldest unsettled one is 1).");
  });
});
