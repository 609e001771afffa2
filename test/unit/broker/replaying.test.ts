import { expect } from "chai";
import type { DeadLetterChoice } from "../../../src/broker/dead-letter-api.js";
import type { DeadLetterFilter } from "../../../src/broker/dead-letter-filter.js";
import { cursorKey, deadLetterKey, REPLAY_KEY } from "../../../src/broker/state-keys.js";
import { EventFilter } from "../../../src/core/event-filter.js";
import type { NewMessage } from "../../../src/core/message.js";
import { OffsetRanges } from "../../../src/core/offset-ranges.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { until } from "../../support/condition.js";
import { Bench, failure, run, settled } from "./broker-harness.js";
import type { TestSession } from "./broker-harness.js";

const ALL: DeadLetterFilter = { offsets: undefined, events: EventFilter.parse([]), reasons: new Set(), afterTimeMs: undefined, beforeTimeMs: undefined };
const CHOICE: DeadLetterChoice = { filter: ALL, limit: Infinity, dryRun: false };
const DEADLINE_MS = 5_000;

describe("dead letters that are replayed or deleted", () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await Bench.start();
  });

  /** Publishes messages and has `billing` reject all of them. */
  async function reject(messages: readonly Partial<NewMessage>[], subscriber = "billing"): Promise<void> {
    await bench.accepted(messages);
    const session = await bench.subscribe({ subscriber, maxInFlightPerLane: 10 });
    const offsets = await session.received(messages.length);
    await session.settle({ rejects: offsets.map((at) => ({ range: run(at), reason: "no" })) });
    session.session.halfClosed();
    await session.ended();
  }

  const numbered = (count: number, event = "order.created"): Partial<NewMessage>[] => Array.from({ length: count }, (_, i) => ({ event, payload: Buffer.from(String(i + 1)) }));
  const replay = (choice: Partial<DeadLetterChoice> = {}): ReturnType<Bench["broker"]["replayDeadLetters"]> => bench.broker.replayDeadLetters("orders", "billing", { ...CHOICE, ...choice });
  const remove = (choice: Partial<DeadLetterChoice> = {}): ReturnType<Bench["broker"]["deleteDeadLetters"]> => bench.broker.deleteDeadLetters("orders", "billing", { ...CHOICE, ...choice });
  const filtered = (filter: Partial<DeadLetterFilter>): DeadLetterFilter => ({ ...ALL, ...filter });

  async function letters(): Promise<readonly number[]> {
    const page = await bench.broker.listDeadLetters("orders", "billing", { filter: ALL, after: offset(0), size: 1_000, omitPayload: false });
    const { deadLetterCount } = await bench.broker.getSubscriber("orders", "billing");
    expect(deadLetterCount, "the count of dead letters").to.equal(page.letters.length);
    return page.letters.map((letter) => letter.offset);
  }

  const state = (): ReturnType<Bench["engine"]["state"]> => bench.engine.state("1".padStart(32, "0"));
  const bodies = (session: TestSession): readonly string[] => session.heard.batches.flatMap(({ messages }) => messages.map(({ payload }) => payload.toString()));

  it("come again to the subscriber that failed them, as new messages with their origin and both counts at 1", async () => {
    await reject([{ event: "order.paid", payload: Buffer.from("x"), headers: new Map([["source", "shop"]]), messageId: "m", orderingKey: "k" }]);
    bench.clock.advance(5_000);
    const session = await bench.subscribe();
    const outcome = await replay();
    expect(outcome).to.deep.equal({ replayedCount: 1, remainingCount: 0, firstOffset: 2, lastOffset: 2 });
    await session.received(1);
    const [batch] = session.heard.batches;
    expect(batch?.facts).to.include({ attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" });
    expect(batch?.messages[0]).to.deep.include({ offset: 2, originOffset: 1, event: "order.paid", payload: Buffer.from("x"), headers: new Map([["source", "shop"]]), messageId: "m", orderingKey: "k", publishTimeMs: bench.clock.wall() });
    expect(await letters()).to.deep.equal([]);
  });

  it("are passed over by every other subscriber, whose backlog and committed offset count them as nothing", async () => {
    const other = await bench.subscribe({ subscriber: "audit" });
    const ephemeral = await bench.subscribe({ subscriber: "", start: { kind: "earliest" } });
    await reject(numbered(3));
    await other.received(3);
    await other.ack(1, 3);
    await replay();
    await bench.accepted([{ payload: Buffer.from("after") }]);
    expect(await other.received(4)).to.deep.equal([1, 2, 3, 7]);
    expect(await ephemeral.received(4)).to.deep.equal([1, 2, 3, 7]);
    expect(other.heard.batches.map(({ backlogCount }) => backlogCount)).to.deep.equal([0, 0]);
    await other.ack(7);
    const info = await bench.broker.getSubscriber("orders", "audit");
    expect(info).to.include({ committedOffset: 7, backlogCount: 0 });
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ backlogCount: 4 });
  });

  it("are no backlog of a subscriber that sleeps, before a restart and after", async () => {
    (await bench.subscribe({ subscriber: "audit" })).lost();
    await reject(numbered(3));
    await replay();
    await bench.accepted(numbered(1));
    const audit = async (): Promise<number> => (await bench.broker.getSubscriber("orders", "audit")).backlogCount;
    expect(await audit()).to.equal(4);
    await bench.crashAndRestart();
    expect(await audit()).to.equal(4);
    const session = await bench.subscribe({ subscriber: "audit" });
    expect(await session.received(4)).to.deep.equal([1, 2, 3, 7]);
  });

  it("do not hold the log for a subscriber that sleeps before copies which are not for it", async () => {
    const audit = await bench.subscribe({ subscriber: "audit" });
    await reject(numbered(3));
    await audit.received(3);
    await audit.ack(1, 3);
    audit.lost();
    const session = await bench.subscribe();
    await replay();
    await session.received(3);
    await session.ack(4, 6);
    await bench.advanceUntil("all of it is trimmed", async () => (await bench.broker.getQueue("orders")).messageCount === 0);
  });

  it("leave their message to its subscriber whatever that filters by now", async () => {
    await bench.accepted([{ event: "a" }]);
    const session = await bench.subscribe({ events: ["a"] });
    await session.received(1);
    await session.settle({ rejects: [{ range: run(1), reason: "no" }] });
    await replay();
    expect(await session.received(2)).to.deep.equal([1, 2]);
  });

  it("are taken by growing offset up to the limit, and the answer says how many are left", async () => {
    await reject(numbered(5));
    expect(await replay({ limit: 2 })).to.deep.equal({ replayedCount: 2, remainingCount: 3, firstOffset: 6, lastOffset: 7 });
    expect(await letters()).to.deep.equal([3, 4, 5]);
    expect(await remove({ limit: 1 })).to.deep.equal({ deletedCount: 1, remainingCount: 2 });
    expect(await letters()).to.deep.equal([4, 5]);
  });

  it("are counted and left alone in a dry run", async () => {
    await reject([...numbered(3, "a"), ...numbered(2, "b")]);
    const b = filtered({ events: EventFilter.parse(["b"]) });
    expect(await replay({ dryRun: true })).to.deep.equal({ replayedCount: 5, remainingCount: 0, firstOffset: 0, lastOffset: 0 });
    expect(await replay({ dryRun: true, limit: 4 })).to.include({ replayedCount: 4, remainingCount: 1 });
    expect(await replay({ dryRun: true, filter: b, limit: 1 })).to.include({ replayedCount: 1, remainingCount: 1 });
    expect(await remove({ dryRun: true, filter: b })).to.deep.equal({ deletedCount: 2, remainingCount: 0 });
    expect(await letters()).to.deep.equal([1, 2, 3, 4, 5]);
    expect((await bench.broker.getQueue("orders")).headOffset).to.equal(5);
  });

  it("are only those that the filter takes, and the rest of those is counted", async () => {
    await reject([...numbered(3, "a"), ...numbered(3, "b")]);
    expect(await replay({ filter: filtered({ events: EventFilter.parse(["b"]) }), limit: 2 })).to.include({ replayedCount: 2, remainingCount: 1 });
    expect(await letters()).to.deep.equal([1, 2, 3, 6]);
    const offsets = new OffsetRanges();
    offsets.add(offset(2), offset(3));
    expect(await remove({ filter: filtered({ offsets }) })).to.deep.equal({ deletedCount: 2, remainingCount: 0 });
    expect(await remove({ filter: filtered({ afterTimeMs: wallMs(bench.clock.wall() + 1) }) })).to.include({ deletedCount: 0 });
    expect(await letters()).to.deep.equal([1, 6]);
  });

  it("go in slices, many of them, and each once", async () => {
    for (let i = 0; i < 3; i++) await reject(numbered(300));
    const session = await bench.subscribe();
    expect(await replay()).to.include({ replayedCount: 900, remainingCount: 0 });
    const offsets = await session.received(900);
    expect(new Set(offsets).size).to.equal(900);
    expect(await letters()).to.deep.equal([]);
    expect(await replay()).to.deep.equal({ replayedCount: 0, remainingCount: 0, firstOffset: 0, lastOffset: 0 });
  });

  it("name the first place of a message that fails again after each replay, and one call takes it once", async () => {
    await reject(numbered(2));
    const session = await bench.subscribe();
    for (const round of [1, 2, 3]) {
      await replay();
      await session.received(2 * round);
      const held = session.offsets.slice(-2);
      await session.settle({ rejects: held.map((at) => ({ range: run(at), reason: "again" })) });
      expect(await letters()).to.deep.equal(held);
    }
    const origins = session.heard.batches.flatMap(({ messages }) => messages.map(({ originOffset }) => originOffset));
    expect(origins).to.deep.equal([1, 2, 1, 2, 1, 2]);
  });

  it("do not make a message id known", async () => {
    await reject([{ messageId: "m" }]);
    await replay();
    expect(await bench.accepted([{ messageId: "m" }])).to.include({ duplicate: true, firstOffset: 1 });
    await bench.crashAndRestart();
    expect(await bench.accepted([{ messageId: "m" }])).to.include({ duplicate: true, firstOffset: 1 });
  });

  it("keep the order of their lane on an ordered queue, behind what is in it", async () => {
    await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: {} });
    await reject(numbered(2).map((message) => ({ ...message, orderingKey: "k" })));
    await bench.accepted([{ orderingKey: "k", payload: Buffer.from("3") }]);
    await replay();
    const session = await bench.subscribe();
    for (const at of [3, 4, 5]) {
      await until(`message ${at} comes`, DEADLINE_MS, () => session.offsets.includes(at));
      await session.ack(at);
    }
    expect(bodies(session)).to.deep.equal(["3", "1", "2"]);
  });

  it("stay where they are when the copies cannot be stored", async () => {
    await reject(numbered(2));
    bench.faults.hasRoom = false;
    expect(await failure(replay())).to.include({ reason: "DISK_FULL" });
    expect(await letters()).to.deep.equal([1, 2]);
    bench.faults.hasRoom = true;
    expect(await replay()).to.include({ replayedCount: 2, firstOffset: 3 });
  });

  it("are neither lost nor replayed twice, wherever a crash cuts in", async () => {
    for (let commit = 1; ; commit++) {
      bench = await Bench.start();
      await reject(numbered(3));
      await settled();
      bench.faults.failingCommit = bench.faults.commits + commit;
      const answer = replay().then(
        () => "answered",
        () => "failed",
      );
      const answered = await Promise.race([answer, settled(40).then(() => "open")]);
      await bench.crashAndRestart();
      expect((await replay()).replayedCount, `left when commit ${commit} fails`).to.be.oneOf([0, 3]);
      const session = await bench.subscribe();
      await session.received(3);
      await settled();
      expect(bodies(session), `after a crash in commit ${commit}`).to.deep.equal(["1", "2", "3"]);
      expect(await letters()).to.deep.equal([]);
      if (answered === "answered") return;
    }
  });

  it("whose copies are there are letters no more, though another writer came in between", async () => {
    await reject(numbered(2));
    const key = cursorKey("billing");
    const stored = await state().get(key);
    await state().commit([{ key, value: stored?.value ?? null, expect: "any" }]);
    expect(await failure(replay())).to.include({ reason: "SUBSCRIPTION_MOVED" });
    expect(await letters()).to.deep.equal([1, 2]);
    expect(await replay({ limit: 1 })).to.deep.equal({ replayedCount: 0, remainingCount: 0, firstOffset: 0, lastOffset: 0 });
    const session = await bench.subscribe();
    await session.received(2);
    expect(bodies(session)).to.deep.equal(["1", "2"]);
  });

  it("that cannot be read are deleted by their offset, and stop a replay when it is their turn", async () => {
    await reject(numbered(3));
    await state().commit([{ key: deadLetterKey("billing", offset(2)), value: Buffer.from([9, 0, 0, 0, 1]), expect: "any" }]);
    expect(await failure(replay())).to.deep.include({ reason: "CHUNK_CORRUPT", metadata: { queue: "orders", subscriber: "billing", first: "2", last: "2" } });
    expect((await bench.broker.getQueue("orders")).headOffset).to.equal(4);
    expect(await failure(remove({ filter: filtered({ events: EventFilter.parse(["a"]) }) }))).to.include({ reason: "CHUNK_CORRUPT" });
    const offsets = new OffsetRanges();
    offsets.add(offset(2), offset(2));
    expect(await remove({ filter: filtered({ offsets }) })).to.include({ deletedCount: 1 });
    expect(await replay()).to.include({ replayedCount: 1 });
    expect(await letters()).to.deep.equal([]);
  });

  it("are not there for a subscriber or a queue that is not there", async () => {
    await bench.accepted(numbered(1));
    expect(await failure(replay())).to.include({ reason: "SUBSCRIBER_NOT_FOUND" });
    expect(await failure(bench.broker.deleteDeadLetters("nowhere", "billing", CHOICE))).to.include({ reason: "QUEUE_NOT_FOUND" });
  });

  it("that were under way when their subscriber was deleted are forgotten with it", async () => {
    await reject(numbered(2));
    const release = bench.faults.holdCommits();
    const replayed = failure(replay());
    await settled();
    const deleted = bench.broker.deleteSubscriber("orders", "billing");
    await settled();
    release();
    await deleted;
    expect(await replayed).to.include({ reason: "SUBSCRIPTION_MOVED" });
    await bench.crashAndRestart();
    expect((await bench.broker.getQueue("orders")).subscriberCount).to.equal(0);
    expect((await state().get(REPLAY_KEY))?.value.toString()).to.contain('"subscriber":""');
  });
});
