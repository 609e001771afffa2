import { expect } from "chai";
import type { QueueInfo } from "../../../src/broker/api.js";
import type { OwnSettings } from "../../../src/broker/queue-settings.js";
import { deadLetterKey } from "../../../src/broker/state-keys.js";
import { offset } from "../../../src/core/units.js";
import { Bench, failure, run, settled } from "./broker-harness.js";
import type { TestSession } from "./broker-harness.js";

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

async function started(own: OwnSettings, ordering: "UNORDERED" | "ORDERED" = "UNORDERED"): Promise<Bench> {
  const bench = await Bench.start();
  await bench.broker.createQueue({ name: "orders", ordering, own });
  return bench;
}

function queue(bench: Bench): Promise<QueueInfo> {
  return bench.broker.getQueue("orders");
}

async function change(bench: Bench, changes: OwnSettings): Promise<void> {
  await bench.broker.updateQueue({ name: "orders", queueId: "", ordering: undefined, changes });
}

async function firstIs(bench: Bench, first: number): Promise<void> {
  await bench.advanceUntil(`the queue begins at ${first}`, async () => (await queue(bench)).firstOffset === first);
}

async function droppedCount(bench: Bench, subscriber = "billing"): Promise<number> {
  return (await bench.broker.getSubscriber("orders", subscriber)).droppedCount;
}

/** Time for what may happen to happen. */
async function pass(bench: Bench, ms = 15_000): Promise<void> {
  for (let step = 0; step < 15; step++) {
    bench.clock.advance(ms / 15);
    await settled(5);
  }
}

/** Everything that comes, acked. */
async function worked(session: TestSession, count: number): Promise<void> {
  await session.received(count);
  await session.ack(1, count);
}

describe("Retention as a log", () => {
  it("keeps what everybody has acked, for who comes later", async () => {
    const bench = await started({ retentionMode: "LOG" });
    await bench.publishMany(5);
    await worked(await bench.subscribe(), 5);
    await pass(bench);
    expect(await queue(bench)).to.include({ firstOffset: 1, messageCount: 5 });
    expect(await (await bench.subscribe({ subscriber: "late" })).received(5)).to.deep.equal([1, 2, 3, 4, 5]);
  });

  it("drops the oldest beyond max_messages, acked or not, to the message", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 4 });
    await bench.publishMany(3);
    await worked(await bench.subscribe(), 3);
    await bench.publishMany(6);
    await firstIs(bench, 6);
    expect(await queue(bench)).to.include({ headOffset: 9, messageCount: 4 });
  });

  it("drops the oldest beyond max_bytes, so that the rest is within them", async () => {
    const bench = await started({ retentionMode: "LOG" });
    await bench.publishMany(10);
    const { bytes } = await queue(bench);
    await change(bench, { maxBytes: bytes / 2 });
    await firstIs(bench, 6);
    expect(await queue(bench)).to.include({ messageCount: 5, bytes: bytes / 2 });
  });

  it("drops what is older than max_age, and wakes for it by itself", async () => {
    const bench = await started({ retentionMode: "LOG", maxAgeMs: HOUR });
    await bench.publishMany(2);
    bench.clock.advance(HOUR / 2);
    await bench.publishMany(2);
    bench.clock.advance(HOUR / 2 - 5_000);
    await settled();
    expect((await queue(bench)).firstOffset).to.equal(1);
    await firstIs(bench, 3);
    bench.clock.advance(HOUR / 2 - 60_000);
    await settled();
    expect((await queue(bench)).firstOffset).to.equal(3);
    await bench.advanceUntil("the rest is gone", async () => (await queue(bench)).messageCount === 0, 1_000);
    expect(await bench.accepted([{}])).to.include({ firstOffset: 5 });
  });

  it("drops what grew too old while the broker was down, of a queue that nobody asks for", async () => {
    const bench = await started({ retentionMode: "LOG", maxAgeMs: HOUR });
    await bench.publishMany(3);
    const { queueId } = await queue(bench);
    bench.clock.advance(2 * HOUR);
    await bench.crashAndRestart();
    await bench.advanceUntil("it is on record", async () => (await bench.engine.state(queueId).get("p")) !== undefined);
    expect((await queue(bench)).messageCount).to.equal(0);
  });

  it("goes by new bounds at once, and by none when they are taken away", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 100 });
    await bench.publishMany(10);
    await change(bench, { maxMessages: 7 });
    await firstIs(bench, 4);
    await change(bench, { maxAgeMs: 60_000 });
    await bench.advanceUntil("all is gone", async () => (await queue(bench)).messageCount === 0, 1_000);
    await bench.broker.updateQueue({ name: "orders", queueId: "", ordering: undefined, changes: { maxAgeMs: undefined, maxMessages: undefined } });
    await bench.publishMany(10);
    await pass(bench, HOUR);
    expect((await queue(bench)).messageCount).to.equal(10);
  });

  it("lets go of what is acked when it is worked off from then on", async () => {
    const bench = await started({ retentionMode: "LOG" });
    await bench.publishMany(5);
    await worked(await bench.subscribe(), 5);
    await pass(bench);
    await change(bench, { retentionMode: "UNTIL_ACKED" });
    await bench.advanceUntil("what is acked is gone", async () => (await queue(bench)).messageCount === 0);
  });

  it("frees what it dropped, whoever stands where", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 1 });
    (await bench.subscribe({ subscriber: "away" })).lost();
    for (let i = 0; i < 5; i++) await bench.publishMany(3);
    await firstIs(bench, 15);
    const log = await bench.engine.openLog((await queue(bench)).queueId);
    await bench.advanceUntil("the chunks before are gone", () => log.head().first === 13);
  });

  it("is not misled by a clock that leaps ahead and is set right", async () => {
    const bench = await started({ retentionMode: "LOG", maxAgeMs: HOUR });
    await bench.publishMany(3);
    bench.clock.advance(HOUR / 2);
    bench.clock.jumpWall(YEAR);
    await change(bench, { maxMessages: 2 });
    await firstIs(bench, 2);
    expect((await queue(bench)).messageCount, "not by age").to.equal(2);
    expect(bench.journalLines.filter((line) => line.includes("leapt"))).to.have.length(1);
    bench.clock.jumpWall(-YEAR);
    await pass(bench, HOUR / 4);
    expect((await queue(bench)).messageCount).to.equal(2);
    await bench.advanceUntil("they have grown too old", async () => (await queue(bench)).messageCount === 0, 10_000);
  });

  it("believes in the end that it is later than thought", async () => {
    const bench = await started({ retentionMode: "LOG", maxAgeMs: HOUR });
    await bench.publishMany(3);
    bench.clock.jumpWall(YEAR);
    await change(bench, { maxBytes: 1_000_000 });
    await settled();
    await bench.advanceUntil("all is gone", async () => (await queue(bench)).messageCount === 0, 10_000);
    expect(bench.clock.monotonic()).to.be.lessThan(HOUR / 4);
  });
});

describe("Retention until acked, within bounds", () => {
  it("drops the oldest of what is not acked when it is told to", async () => {
    const bench = await started({ maxMessages: 3, whenFull: "DROP_OLDEST" });
    (await bench.subscribe()).lost();
    await bench.publishMany(3);
    await bench.publishMany(2);
    await firstIs(bench, 3);
    expect(await droppedCount(bench)).to.equal(2);
  });

  it("keeps without a subscriber what is within bounds, and drops what has become too old", async () => {
    const bench = await started({ maxAgeMs: 60_000 });
    await bench.publishMany(3);
    await pass(bench);
    expect((await queue(bench)).messageCount).to.equal(3);
    await bench.advanceUntil("it is too old", async () => (await queue(bench)).messageCount === 0, 1_000);
  });

  it("counts nothing as dropped that was settled and only waits to be trimmed", async () => {
    const bench = await started({ maxMessages: 3, whenFull: "DROP_OLDEST" });
    const session = await bench.subscribe();
    for (let i = 0; i < 4; i++) {
      await bench.publishMany(2);
      await session.received(2 * i + 2);
      await session.ack(2 * i + 1, 2 * i + 2);
    }
    await bench.advanceUntil("it is trimmed", async () => (await queue(bench)).messageCount === 0);
    expect(await droppedCount(bench)).to.equal(0);
    expect(session.heard.gaps).to.deep.equal([]);
  });
});

describe("A subscriber that retention is faster than", () => {
  it("is told of what it had not read in a gap, and counts it", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 2 });
    const session = await bench.subscribe({ flow: { maxMessages: 1, maxBytes: 0, paused: false } });
    await bench.publishMany(1);
    await session.received(1);
    await bench.publishMany(5);
    await firstIs(bench, 5);
    expect(session.heard.gaps).to.deep.equal([{ first: 2, last: 4, matchingCount: 3 }]);
    expect(await droppedCount(bench)).to.equal(3);
    expect((await session.ack(1)).failures, "what was in flight").to.deep.equal([]);
    expect(await session.received(2)).to.deep.equal([1, 5]);
  });

  it("is counted for while it sleeps, its filter included, and told at its next open; across restarts", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 2 });
    (await bench.subscribe({ subscriber: "all" })).lost();
    (await bench.subscribe({ subscriber: "paid", events: ["order.paid"] })).lost();
    (await bench.subscribe({ subscriber: "other", events: ["other"] })).lost();
    await bench.accepted([{ event: "order.paid" }, { event: "order.sent" }]);
    await bench.accepted([{ event: "order.paid" }, { event: "order.paid" }, { event: "order.sent" }, { event: "order.sent" }]);
    await firstIs(bench, 5);
    const counts = async (): Promise<number[]> => Promise.all(["all", "paid", "other"].map((name) => droppedCount(bench, name)));
    expect(await counts()).to.deep.equal([4, 3, 0]);
    expect((await bench.subscribe({ subscriber: "paid", events: ["order.paid"] })).heard.gaps).to.deep.equal([{ first: 1, last: 4, matchingCount: 3 }]);
    await pass(bench);
    await bench.crashAndRestart();
    expect(await counts()).to.deep.equal([4, 3, 0]);
    await bench.publishMany(2);
    await firstIs(bench, 7);
    expect(await counts()).to.deep.equal([6, 3, 0]);
  });

  it("counts once what it lost right before a crash that its own record did not survive", async () => {
    const bench = await started({ retentionMode: "LOG" });
    (await bench.subscribe({ events: ["order.paid"] })).lost();
    await bench.accepted([{ event: "order.paid" }, { event: "order.sent" }, { event: "order.paid" }]);
    const { queueId } = await queue(bench);
    await change(bench, { maxMessages: 1 });
    await bench.advanceUntil("it is on record", async () => (await bench.engine.state(queueId).get("p")) !== undefined, 100);
    expect(await bench.engine.state(queueId).get("l/billing")).to.equal(undefined);
    await bench.crashAndRestart();
    expect(await queue(bench)).to.include({ firstOffset: 3 });
    expect(await droppedCount(bench)).to.equal(1);
    await pass(bench);
    await bench.crashAndRestart();
    expect(await droppedCount(bench)).to.equal(1);
  });

  it("goes on behind a message that waited for its retry, and one whose lane it blocked", async () => {
    for (const ordering of ["UNORDERED", "ORDERED"] as const) {
      const bench = await started({ retentionMode: "LOG", maxMessages: 3 }, ordering);
      const session = await bench.subscribe();
      await bench.accepted([{ orderingKey: "one" }]);
      await session.received(1);
      await session.settle({ retries: [{ range: run(1), delayMs: HOUR, reason: "not now" }] });
      await bench.accepted([{ orderingKey: "one" }, { orderingKey: "one" }, { orderingKey: "one" }]);
      await firstIs(bench, 2);
      for (let at = 2; at <= 4; at++) {
        await session.received(at);
        await session.ack(at);
      }
      expect(session.offsets, ordering).to.deep.equal([1, 2, 3, 4]);
      expect(session.heard.gaps, ordering).to.deep.equal([{ first: 1, last: 1, matchingCount: 1 }]);
      expect(await bench.broker.getSubscriber("orders", "billing"), ordering).to.include({ droppedCount: 1, committedOffset: 4, waitingRetryCount: 0 });
    }
  });

  it("keeps its dead letters", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 1 });
    const session = await bench.subscribe();
    await bench.publishMany(1);
    await session.received(1);
    await session.settle({ rejects: [{ range: run(1), reason: "bad" }] });
    await bench.publishMany(3);
    await firstIs(bench, 4);
    const { queueId } = await queue(bench);
    expect((await bench.engine.state(queueId).list("d/billing/", undefined, 10)).map(({ key }) => key)).to.deep.equal([deadLetterKey("billing", offset(1))]);
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ deadLetterCount: 1, droppedCount: 0 });
  });

  it("is told why by explain, and told apart from a purge", async () => {
    const bench = await started({ retentionMode: "LOG" });
    (await bench.subscribe()).lost();
    await bench.publishMany(8);
    const reasons = async (): Promise<string[]> =>
      Promise.all([1, 2, 3, 4, 5, 6].map(async (at) => (await bench.broker.explainMessage("orders", offset(at), "billing"))[0]?.reason ?? ""));
    await change(bench, { maxMessages: 6 });
    await firstIs(bench, 3);
    await bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(4), dryRun: false });
    await change(bench, { maxMessages: 3 });
    await firstIs(bench, 6);
    const told = ["DROPPED_BY_RETENTION", "DROPPED_BY_RETENTION", "PURGED", "PURGED", "DROPPED_BY_RETENTION", "NO_CLIENT"];
    expect(await reasons()).to.deep.equal(told);
    await bench.crashAndRestart();
    expect(await reasons()).to.deep.equal(told);
  });
});

describe("A full queue that refuses what is new", () => {
  it("takes what fits, refuses what is more, and says which bound, how much is there, and when to come again", async () => {
    const bench = await started({ maxMessages: 3 });
    (await bench.subscribe()).lost();
    await bench.publishMany(2);
    const refused = await bench.refused([{}, {}]);
    expect(refused).to.deep.include({ reason: "QUEUE_FULL", metadata: { queue: "orders", field: "max_messages", value: "2", limit: "3" }, retryAfterMs: 1_000 });
    expect(refused.message).to.match(/has 2 messages, its max_messages is 3.*publish again when its subscribers have settled more, or raise max_messages/);
    expect(await bench.accepted([{}])).to.include({ firstOffset: 3 });
    expect(await bench.refused([{}])).to.include({ reason: "QUEUE_FULL" });
    expect(await queue(bench)).to.include({ messageCount: 3 });
  });

  it("counts what is on its way to the disk", async () => {
    const bench = await started({ maxMessages: 3 });
    const release = bench.faults.holdCommits();
    const outcomes = Array.from({ length: 5 }, () => bench.publish([{}]));
    await settled();
    outcomes.push(bench.publish([{}]));
    release();
    expect((await Promise.all(outcomes)).map(({ ok }) => ok)).to.deep.equal([true, true, true, false, false, false]);
  });

  it("counts bytes as they are stored", async () => {
    const bench = await started({ retentionMode: "LOG" });
    await bench.publishMany(4);
    const { bytes } = await queue(bench);
    await change(bench, { maxBytes: bytes + bytes / 4, whenFull: "REJECT_NEW", maxAgeMs: HOUR });
    await bench.publishMany(1);
    expect(await bench.refused([{ payload: Buffer.from("0") }])).to.deep.include({ reason: "QUEUE_FULL", metadata: { queue: "orders", field: "max_bytes", value: String((bytes * 5) / 4), limit: String((bytes * 5) / 4) } });
  });

  it("takes more as soon as some of a batch is acked, before anything is trimmed", async () => {
    const bench = await started({ maxMessages: 4 });
    const session = await bench.subscribe();
    await bench.publishMany(4);
    await session.received(4);
    expect(await bench.refused([{}])).to.include({ reason: "QUEUE_FULL" });
    await session.ack(1, 3);
    await settled();
    expect((await queue(bench)).messageCount, "still stored").to.equal(4);
    expect(await bench.accepted([{}, {}, {}])).to.include({ firstOffset: 5 });
    expect(await bench.refused([{}])).to.include({ reason: "QUEUE_FULL" });
  });

  it("keeps refusing a log that nothing makes room in, and does not ask to come again", async () => {
    const bench = await started({ retentionMode: "LOG", maxMessages: 1, whenFull: "REJECT_NEW" });
    await worked(await bench.subscribe(), await bench.publishMany(1).then(() => 1));
    await pass(bench);
    const refused = await bench.refused([{}]);
    expect(refused).to.include({ reason: "LOG_FULL", retryAfterMs: undefined });
    await bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(0), dryRun: false });
    await bench.accepted([{}]);
    await change(bench, { whenFull: "DROP_OLDEST" });
    await bench.accepted([{}]);
    await firstIs(bench, 3);
  });

  it("answers what it knows already, full or not", async () => {
    const bench = await started({ maxMessages: 1 });
    await bench.accepted([{ messageId: "once" }]);
    expect(await bench.accepted([{ messageId: "once" }])).to.include({ duplicate: true, firstOffset: 1 });
    expect(await bench.refused([{ messageId: "twice" }])).to.include({ reason: "QUEUE_FULL" });
  });

  it("gives each message of an independent frame its own answer", async () => {
    const bench = await started({ maxMessages: 2 });
    await bench.accepted([{ messageId: "a" }]);
    const outcome = await bench.accepted([{ messageId: "a" }, { messageId: "b" }, { messageId: "c" }], { independent: true });
    expect(outcome.firstOffset).to.equal(2);
    expect(outcome.outcomes.map(({ index, duplicate, error }) => [index, duplicate, error?.reason])).to.deep.equal([
      [0, true, undefined],
      [2, false, "QUEUE_FULL"],
    ]);
  });

  it("refuses in general what it could never keep", async () => {
    for (const whenFull of ["REJECT_NEW", "DROP_OLDEST"] as const) {
      const bench = await started({ maxMessages: 2, maxBytes: 300, whenFull });
      if (whenFull === "DROP_OLDEST") await bench.accepted([{}, {}, {}]);
      else expect(await bench.refused([{}, {}, {}])).to.deep.include({ reason: "BATCH_TOO_LARGE", metadata: { field: "messages", value: "3", limit: "2" } });
      expect(await bench.refused([{ payload: Buffer.alloc(400) }])).to.include({ reason: "MESSAGE_TOO_LARGE" });
      expect(await bench.refused([{ payload: Buffer.alloc(200) }, { payload: Buffer.alloc(200) }])).to.include({ reason: "BATCH_TOO_LARGE" });
      const apart = await bench.accepted([{ payload: Buffer.alloc(400) }, {}], { independent: true });
      expect(apart.outcomes.map(({ index, error }) => [index, error?.reason])).to.deep.equal([[0, "MESSAGE_TOO_LARGE"]]);
    }
  });
});

describe("Retention settings", () => {
  it("are no claim where they say what holds anyway, and one where they do not", async () => {
    const bench = await started({});
    await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: { retentionMode: "UNTIL_ACKED", whenFull: "REJECT_NEW" } });
    const refused = await failure(bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: { retentionMode: "LOG" } }));
    expect(refused).to.deep.include({ reason: "QUEUE_EXISTS", metadata: { queue: "orders", field: "queue.retention.mode", value: "LOG", stored: "inherited" } });
  });

  it("survive a restart", async () => {
    const bench = await started({ retentionMode: "LOG", maxAgeMs: HOUR, maxBytes: 1_000, maxMessages: 10, whenFull: "REJECT_NEW" });
    const { own } = await queue(bench);
    await bench.crashAndRestart();
    expect((await queue(bench)).own).to.deep.equal(own);
  });
});
