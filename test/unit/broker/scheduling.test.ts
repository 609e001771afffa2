import { expect } from "chai";
import { SCHEDULE_FACTS_PREFIX, SCHEDULED_PREFIX, DUE_KEY } from "../../../src/broker/state-keys.js";
import { decodeMessage } from "../../../src/core/message-codec.js";
import type { StoredMessage } from "../../../src/core/message-codec.js";
import type { NewMessage } from "../../../src/core/message.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { until } from "../../support/condition.js";
import { Bench, failure, settled } from "./broker-harness.js";

const DEADLINE_MS = 5_000;
const HOUR_MS = 3_600_000;

describe("messages that are put off", () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await Bench.start();
  });

  const text = (message: { readonly payload: Uint8Array }): string => Buffer.from(message.payload).toString();
  const state = (): ReturnType<Bench["engine"]["state"]> => bench.engine.state("1".padStart(32, "0"));

  async function putOff(name: string, delayMs: number, message: Partial<NewMessage> = {}): Promise<string> {
    const { scheduleId, firstOffset } = await bench.accepted([{ payload: Buffer.from(name), ...message }], { when: { delayMs } });
    expect(firstOffset).to.equal(0);
    return scheduleId ?? "";
  }

  const names = async (): Promise<readonly string[]> => (await bench.broker.listScheduled("orders", { after: undefined, size: 1_000, omitPayload: false })).scheduled.map(({ message }) => text(decodeMessage(message)));

  /** What is in the log. */
  async function log(): Promise<readonly StoredMessage[]> {
    const session = await bench.subscribe({ subscriber: "", start: { kind: "earliest" }, ackMode: "AUTO" });
    const { headOffset } = await bench.broker.getQueue("orders");
    await until("all of the log comes", DEADLINE_MS, () => (session.heard.batches.at(-1)?.messages.at(-1)?.offset ?? 0) >= headOffset);
    session.lost();
    return session.heard.batches.flatMap(({ messages }) => messages);
  }

  const count = async (): Promise<number> => (await bench.broker.getQueue("orders")).scheduledCount;

  async function untilAppended(): Promise<void> {
    await bench.advanceUntil("all that is due is in the log", async () => (await count()) === 0, 0);
  }

  it("are not in the log before they are due, and then with the place and the time of that moment", async () => {
    await putOff("later", 5_000, { event: "order.paid", orderingKey: "k", headers: new Map([["a", "b"]]), messageId: "m" });
    await bench.accepted([{ payload: Buffer.from("now") }]);
    expect((await bench.broker.getQueue("orders")).headOffset).to.equal(1);
    bench.clock.advance(4_999);
    await settled();
    expect((await bench.broker.getQueue("orders")).headOffset).to.equal(1);
    bench.clock.advance(1);
    await untilAppended();
    const [, later] = await log();
    expect(later).to.deep.include({ offset: 2, event: "order.paid", orderingKey: "k", headers: new Map([["a", "b"]]), messageId: "m", publishTimeMs: bench.clock.wall() });
    expect(text(later as StoredMessage)).to.equal("later");
  });

  it("answer with an identity, no offset, and who takes them", async () => {
    (await bench.subscribe()).lost();
    const outcome = await bench.accepted([{}], { when: { delayMs: 1 } });
    expect(outcome).to.include({ firstOffset: 0, duplicate: false, matchedSubscribers: 1, unmatchedCount: 0, publishTimeMs: bench.clock.wall() });
    expect(outcome.scheduleId).to.match(/^[0-9a-f]{14}-[0-9a-f]{14}$/);
  });

  it("go into the log at once when they are due already", async () => {
    for (const when of [{ delayMs: 0 }, { deliverTimeMs: wallMs(bench.clock.wall() - 1) }, { deliverTimeMs: bench.clock.wall() }]) {
      const outcome = await bench.accepted([{}], { when });
      expect(outcome.firstOffset).to.be.greaterThan(0);
      expect(outcome).not.to.have.property("scheduleId");
    }
  });

  it("are refused too far ahead", async () => {
    const error = await bench.refused([{}], { when: { deliverTimeMs: wallMs(bench.clock.wall() + 366 * 24 * HOUR_MS) } });
    expect(error).to.include({ reason: "INVALID_FIELD" });
    expect(error.metadata).to.include({ field: "message.deliver_time" });
  });

  it("come in the order in which they are due, and those of one time in the order in which they were accepted", async () => {
    for (const [name, delay] of [["c", 30], ["a", 10], ["b1", 20], ["b2", 20]] as const) await putOff(name, delay);
    bench.clock.advance(30);
    await untilAppended();
    expect((await log()).map(text)).to.deep.equal(["a", "b1", "b2", "c"]);
  });

  it("survive a restart, and those that became due meanwhile come at the start, without anybody asking for the queue", async () => {
    await putOff("second", 2_000);
    await putOff("first", 1_000);
    await putOff("third", HOUR_MS);
    bench.clock.jumpWall(10_000);
    await bench.crashAndRestart();
    await bench.advanceUntil("both are in the log", async () => (await bench.engine.openLog("1".padStart(32, "0"))).head().next === 3, 0);
    expect((await log()).map(text)).to.deep.equal(["first", "second"]);
    expect(await names()).to.deep.equal(["third"]);
    expect(await count()).to.equal(1);
    bench.clock.advance(HOUR_MS);
    await untilAppended();
    expect((await log()).map(text)).to.deep.equal(["first", "second", "third"]);
  });

  it("are opened at a start only as long as there are any", async () => {
    await putOff("soon", 10);
    bench.clock.advance(10);
    await untilAppended();
    await bench.crashAndRestart();
    await bench.broker.getQueue("orders");
    expect(await bench.engine.catalog.list("s/", undefined, 10)).to.deep.equal([]);
  });

  it("come in slices, many of them, each once", async () => {
    const total = 2_300;
    await Promise.all(Array.from({ length: total }, (_, i) => putOff(String(i), 1_000)));
    expect(await count()).to.equal(total);
    bench.clock.advance(1_000);
    await untilAppended();
    const messages = await log();
    expect(messages.map(text)).to.deep.equal(Array.from({ length: total }, (_, i) => String(i)));
    expect(await state().list(SCHEDULED_PREFIX, undefined, 10)).to.deep.equal([]);
    expect(await state().list(SCHEDULE_FACTS_PREFIX, undefined, 10)).to.deep.equal([]);
  });

  it("come once, whichever commit is the last one before a crash", async () => {
    for (let commit = 1; ; commit++) {
      bench = await Bench.start();
      await putOff("a", 1_000);
      await putOff("b", 1_000);
      bench.faults.failingCommit = bench.faults.commits + commit;
      bench.clock.advance(1_000);
      await settled(60);
      const untouched = (await bench.broker.getQueue("orders")).scheduledCount === 0;
      await bench.crashAndRestart();
      await untilAppended();
      expect((await log()).map(text), `after a crash at commit ${commit}`).to.deep.equal(["a", "b"]);
      if (untouched) return expect(commit).to.equal(4);
    }
  });

  it("wait while the disk has no room, and come when there is", async () => {
    await putOff("a", 1_000);
    bench.faults.hasRoom = false;
    bench.clock.advance(1_000);
    await settled();
    expect(await count()).to.equal(1);
    bench.faults.hasRoom = true;
    await bench.advanceUntil("it is in the log", async () => (await count()) === 0);
    expect((await log()).map(text)).to.deep.equal(["a"]);
  });

  it("come when the wall clock says so, be it that it jumped", async () => {
    await putOff("a", HOUR_MS);
    bench.clock.jumpWall(HOUR_MS);
    bench.clock.advance(9_999);
    await settled();
    expect(await count()).to.equal(1);
    bench.clock.advance(1);
    await untilAppended();
  });

  it("wait on when the wall clock is set back", async () => {
    await putOff("a", 1_000);
    bench.clock.jumpWall(-HOUR_MS);
    bench.clock.advance(HOUR_MS);
    await settled();
    expect(await count()).to.equal(1);
    bench.clock.advance(1_000);
    await untilAppended();
  });

  it("are listed by due time, page by page", async () => {
    for (const [name, delay] of [["c", 30], ["a", 10], ["b", 20]] as const) await putOff(name, delay, { headers: new Map([["n", name]]) });
    const first = await bench.broker.listScheduled("orders", { after: undefined, size: 2, omitPayload: false });
    expect(first.scheduled.map(({ message }) => text(decodeMessage(message)))).to.deep.equal(["a", "b"]);
    expect(first.scheduled[0]).to.include({ dueTimeMs: bench.clock.wall() + 10, acceptTimeMs: bench.clock.wall(), payloadBytes: 1 });
    const second = await bench.broker.listScheduled("orders", { after: first.next, size: 2, omitPayload: false });
    expect(second.scheduled.map(({ message }) => decodeMessage(message).headers.get("n"))).to.deep.equal(["c"]);
    expect(second.next).to.equal(undefined);
  });

  it("end a page at three MiB", async () => {
    for (let i = 0; i < 4; i++) await putOff("x", 10 + i, { payload: Buffer.alloc(1_000_000) });
    const first = await bench.broker.listScheduled("orders", { after: undefined, size: 10, omitPayload: false });
    expect(first.scheduled).to.have.length(3);
    const second = await bench.broker.listScheduled("orders", { after: first.next, size: 10, omitPayload: false });
    expect(second.scheduled).to.have.length(1);
    expect((await bench.broker.listScheduled("orders", { after: undefined, size: 10, omitPayload: true })).scheduled).to.have.length(4);
  });

  it("can be taken back until they are due, and only once", async () => {
    const id = await putOff("a", 1_000);
    await putOff("b", 1_000);
    expect(text(decodeMessage((await bench.broker.cancelScheduled("orders", id)).message))).to.equal("a");
    expect(await count()).to.equal(1);
    for (const unknown of [id, "nonsense"]) expect(await failure(bench.broker.cancelScheduled("orders", unknown))).to.include({ reason: "SCHEDULE_NOT_FOUND" });
    bench.clock.advance(1_000);
    await untilAppended();
    expect((await log()).map(text)).to.deep.equal(["b"]);
    await bench.crashAndRestart();
    expect(await count()).to.equal(0);
  });

  it("stay when the queue is purged, and go with it when it is deleted", async () => {
    await putOff("a", 1_000);
    await bench.publishMany(3);
    await bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(0), dryRun: false });
    expect(await count()).to.equal(1);
    await bench.broker.deleteQueue("orders");
    await bench.accepted([{}]);
    expect(await count()).to.equal(0);
    bench.clock.advance(2_000);
    await settled();
    expect((await bench.broker.getQueue("orders")).headOffset).to.equal(1);
    expect(await bench.engine.catalog.list("s/", undefined, 10)).to.deep.equal([]);
  });

  it("are passed over when they are damaged, so that those behind them come, and can be taken back", async () => {
    const id = await putOff("a", 1_000);
    await putOff("b", 1_000);
    const [entry] = await state().list(SCHEDULED_PREFIX, undefined, 1);
    await state().commit([{ key: entry?.key ?? "", value: Buffer.from("garbage"), expect: "any" }]);
    expect(await failure(bench.broker.listScheduled("orders", { after: undefined, size: 10, omitPayload: false }))).to.include({ reason: "CHUNK_CORRUPT" });
    bench.clock.advance(1_000);
    await until("the sound one is in the log", DEADLINE_MS, async () => (await count()) === 1);
    expect((await log()).map(text)).to.deep.equal(["b"]);
    expect(bench.journalLines).to.include("a message that is due is damaged and cannot be read; it is left where it is and passed over");
    await bench.broker.cancelScheduled("orders", id);
    expect(await count()).to.equal(0);
  });

  describe("and their message ids", () => {
    const message = { messageId: "m", payload: Buffer.from("x") };

    it("are known from acceptance on, whatever the dedup window, and answered with the identity", async () => {
      const id = await putOff("x", HOUR_MS, message);
      bench.clock.advance(HOUR_MS / 2);
      expect(await bench.accepted([message], { when: { delayMs: 5 } })).to.include({ duplicate: true, firstOffset: 0, scheduleId: id });
      expect(await bench.accepted([message])).to.include({ duplicate: true, firstOffset: 0, scheduleId: id });
      expect((await bench.refused([{ ...message, payload: Buffer.from("y") }])).message).to.contain(`was used by a message that is put off, ${id},`);
      expect(await count()).to.equal(1);
      await bench.crashAndRestart();
      expect(await bench.accepted([message])).to.include({ duplicate: true, scheduleId: id });
    });

    it("are known while the acceptance is still on its way to the disk", async () => {
      const outcomes = await Promise.all([bench.accepted([message], { when: { delayMs: 1_000 } }), bench.accepted([message]), bench.accepted([message], { when: { delayMs: 1_000 } })]);
      expect(outcomes.map(({ duplicate }) => duplicate)).to.deep.equal([false, true, true]);
      expect(new Set(outcomes.map(({ scheduleId }) => scheduleId)).size).to.equal(1);
    });

    it("answer with the offset once the message is in the log, and for a dedup window from then on", async () => {
      await putOff("x", HOUR_MS, message);
      bench.clock.advance(HOUR_MS);
      await untilAppended();
      expect(await bench.accepted([message], { when: { delayMs: 5 } })).to.include({ duplicate: true, firstOffset: 1 });
      bench.clock.advance(120_001);
      expect(await bench.accepted([message])).to.include({ duplicate: false, firstOffset: 2 });
    });

    it("of a message in the log make a duplicate of one that would be put off", async () => {
      await bench.accepted([message]);
      expect(await bench.accepted([message], { when: { delayMs: HOUR_MS } })).to.include({ duplicate: true, firstOffset: 1 });
      expect(await count()).to.equal(0);
    });

    it("are free as soon as the message is taken back", async () => {
      const id = await putOff("x", HOUR_MS, message);
      await bench.broker.cancelScheduled("orders", id);
      expect(await bench.accepted([{ ...message, payload: Buffer.from("other") }])).to.include({ duplicate: false, firstOffset: 1 });
    });

    it("make a batch that has one of them a partial duplicate", async () => {
      await putOff("x", HOUR_MS, message);
      expect(await bench.refused([message, { messageId: "n" }])).to.include({ reason: "PARTIAL_DUPLICATE" });
      expect(await bench.accepted([message, { messageId: "n" }], { independent: true })).to.deep.include({ firstOffset: 1, outcomes: [{ index: 0, offset: 0, duplicate: true, error: undefined }] });
    });

    it("make a batch no duplicate because a message in the log happens to have offset 1", async () => {
      await bench.accepted([{ messageId: "n", payload: Buffer.from("x") }]);
      await putOff("x", HOUR_MS, message);
      expect(await bench.refused([message, { messageId: "n", payload: Buffer.from("x") }])).to.include({ reason: "PARTIAL_DUPLICATE" });
    });
  });

  it("leave no record of a move that is over", async () => {
    await putOff("a", 1);
    bench.clock.advance(1);
    await untilAppended();
    const entry = await state().get(DUE_KEY);
    expect(JSON.parse(entry?.value.toString() ?? "{}")).to.deep.include({ from: 0 });
  });
});
