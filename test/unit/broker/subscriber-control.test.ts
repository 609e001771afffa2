import { expect } from "chai";
import { RecordCorrupt } from "../../../src/broker/json-record.js";
import { decodeSubscriberRecord, encodeSubscriberRecord } from "../../../src/broker/subscriber-record.js";
import type { NewSubscriber, SubscriberUpdate } from "../../../src/broker/subscriber-api.js";
import type { OwnSubscriberSettings } from "../../../src/broker/subscriber-settings.js";
import { DEFAULTS, LIMITS } from "../../../src/core/limits.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { Bench, failure, settled } from "./broker-harness.js";

const EVERYTHING: OwnSubscriberSettings = {
  ackTimeoutMs: 1_000,
  maxAttempts: 2,
  backoffMinMs: 0,
  backoffMaxMs: 9_000,
  backoffFactor: 1.5,
  onPoison: "BLOCK_LANE",
  onExpiry: "DEAD_LETTER",
  maxDeliveries: 3,
  maxUnsettled: 50,
  flowMessages: 4,
  flowBytes: 4_096,
};
const NEW: NewSubscriber = { queue: "orders", name: "billing", events: [], start: { kind: "earliest" }, own: {}, paused: false, resumeTimeMs: undefined };

async function benchWith(ordering: "ORDERED" | "UNORDERED" = "ORDERED"): Promise<Bench> {
  const bench = await Bench.start();
  await bench.broker.createQueue({ name: "orders", ordering, own: {} });
  return bench;
}

function make(bench: Bench, parts: Partial<NewSubscriber> = {}): ReturnType<Bench["broker"]["createSubscriber"]> {
  return bench.broker.createSubscriber({ ...NEW, ...parts });
}

function update(bench: Bench, parts: Partial<SubscriberUpdate>): ReturnType<Bench["broker"]["updateSubscriber"]> {
  return bench.broker.updateSubscriber({ queue: "orders", name: "billing", settings: {}, ...parts });
}

function changes({ heard }: { readonly heard: { readonly notices: readonly { readonly reason: string; readonly detail: string }[] } }): string[] {
  return heard.notices.filter(({ reason }) => reason === "SETTINGS_CHANGED").map(({ detail }) => detail);
}

describe("A subscriber made by an operator", () => {
  it("keeps messages before any client comes, and begins where it was told", async () => {
    const bench = await benchWith("UNORDERED");
    await bench.publishMany(2);
    await make(bench, { name: "early", events: ["order.*"] });
    await make(bench, { name: "late", start: { kind: "latest" } });
    await make(bench, { name: "between", start: { kind: "after_offset", offset: offset(1) } });
    expect((await bench.accepted([{ event: "x" }])).matchedSubscribers).to.equal(2);
    await bench.crashAndRestart();
    const infos = await bench.broker.listSubscribers("orders", undefined, 9);
    expect(infos.map(({ name, backlogCount, start, events }) => [name, backlogCount, start.kind, events])).to.deep.equal([
      ["between", 2, "after_offset", []],
      ["early", 2, "earliest", ["order.*"]],
      ["late", 1, "latest", []],
    ]);
    const session = await bench.subscribe({ subscriber: "early" });
    expect(session.heard.facts).to.include({ created: false });
    expect(await session.received(2)).to.deep.equal([1, 2]);
  });

  it("is answered as it is when it is made again, and refused when something is otherwise", async () => {
    const bench = await benchWith();
    const first = { events: ["b", "a"], own: { maxAttempts: 3 }, start: { kind: "latest" } } as const;
    const made = await make(bench, first);
    expect(made).to.deep.include({ events: ["a", "b"], own: { maxAttempts: 3 }, createTimeMs: bench.clock.wall() });
    await update(bench, { settings: { maxUnsettled: 7 } });
    expect((await make(bench, { ...first, own: {} })).own).to.deep.equal({ maxAttempts: 3, maxUnsettled: 7 });
    for (const [parts, reason, field] of [
      [{ ...first, events: [] }, "FILTER_MISMATCH", "subscriber.events"],
      [{ ...first, start: { kind: "earliest" } }, "START_MISMATCH", "subscriber.start"],
      [{ ...first, own: { maxAttempts: 4 } }, "SUBSCRIBER_EXISTS", "subscriber.settings.max_attempts"],
      [{ ...first, own: { flowMessages: 4 } }, "SUBSCRIBER_EXISTS", "subscriber.settings.window_messages"],
      [{ ...first, paused: true }, "SUBSCRIBER_EXISTS", "subscriber.paused"],
    ] as const) {
      const refused = await failure(make(bench, parts));
      expect([refused.reason, refused.metadata["field"]]).to.deep.equal([reason, field]);
    }
    await update(bench, { paused: true });
    expect((await failure(make(bench, { ...first, paused: true, resumeTimeMs: wallMs(9e12) }))).metadata).to.include({ field: "subscriber.resume_time", stored: "unset" });
    expect((await make(bench, { ...first, paused: true })).pause).to.deep.equal({ resumeTimeMs: undefined, resumeAt: Infinity });
  });

  it("is refused where there is no queue, no such offset, or the settings contradict each other", async () => {
    const bench = await benchWith("UNORDERED");
    for (const [parts, reason, field] of [
      [{ queue: "none" }, "QUEUE_NOT_FOUND", undefined],
      [{ start: { kind: "after_offset", offset: offset(9) } }, "BEYOND_HEAD", "subscriber.start_after_offset"],
      [{ own: { backoffMinMs: 9, backoffMaxMs: 1 } }, "INVALID_FIELD", "subscriber.settings.backoff.max_delay"],
      [{ own: { onPoison: "BLOCK_LANE" } }, "ORDERED_QUEUE_REQUIRED", "subscriber.settings.on_poison"],
      [{ resumeTimeMs: wallMs(9e12) }, "INVALID_FIELD", "subscriber.resume_time"],
    ] as const) {
      const refused = await failure(make(bench, parts));
      expect([refused.reason, refused.metadata["field"]]).to.deep.equal([reason, field]);
    }
    expect(await bench.broker.listSubscribers("orders", undefined, 9)).to.deep.equal([]);
    expect((await failure(bench.broker.getQueue("none"))).reason).to.equal("QUEUE_NOT_FOUND");
  });
});

describe("Settings of a subscriber", () => {
  it("hold instead of the queue's, for what is open at once, and after a restart", async () => {
    const bench = await benchWith();
    const session = await bench.subscribe();
    await update(bench, { settings: EVERYTHING });
    expect(changes(session)).to.deep.equal([
      "ack_timeout is 1000 ms, max_attempts is 2, backoff.min_delay is 0 ms, backoff.max_delay is 9000 ms, backoff.factor is 1.5, on_poison is BLOCK_LANE, max_deliveries is 3, max_unsettled is 50, window_messages is 4, window_bytes is 4096, on_expiry is DEAD_LETTER",
    ]);
    await bench.crashAndRestart();
    const info = await bench.broker.getSubscriber("orders", "billing");
    expect(info.own).to.deep.equal(EVERYTHING);
    expect(info.settings).to.include(EVERYTHING);
    const { heard } = await bench.subscribe();
    expect(heard.facts).to.deep.include({ ackTimeoutMs: 1_000, maxAttempts: 2, maxUnsettled: 50, flow: { maxMessages: 4, maxBytes: 4_096, paused: false } });
    expect((await bench.subscribe({ subscriber: "other" })).heard.facts).to.include({ maxAttempts: DEFAULTS.maxAttempts });
  });

  it("shield it from changes of the queue, and go back to them", async () => {
    const bench = await benchWith();
    const session = await bench.subscribe();
    await update(bench, { settings: { maxAttempts: 2 } });
    const queue = (maxAttempts: number) => bench.broker.updateQueue({ name: "orders", queueId: "", ordering: undefined, changes: { maxAttempts } });
    await queue(7);
    expect(changes(session)).to.deep.equal(["max_attempts is 2"]);
    await update(bench, { settings: { maxAttempts: undefined } });
    await queue(8);
    expect(changes(session)).to.deep.equal(["max_attempts is 2", "max_attempts is 7", "max_attempts is 8"]);
    expect((await bench.broker.getSubscriber("orders", "billing")).own).to.deep.equal({});
  });

  it("that are said again change nothing, and tell nobody", async () => {
    const bench = await benchWith();
    const session = await bench.subscribe();
    await update(bench, { settings: { maxAttempts: 2 }, paused: true });
    const commits = bench.faults.commits;
    await update(bench, { settings: { maxAttempts: 2 }, paused: true, events: [] });
    expect(bench.faults.commits).to.equal(commits);
    expect(changes(session)).to.deep.equal(["max_attempts is 2", "an operator paused the subscriber"]);
  });

  it("are refused where they contradict each other, and nothing changes", async () => {
    const bench = await benchWith("UNORDERED");
    await make(bench);
    for (const [parts, reason, field] of [
      [{ settings: { backoffMinMs: 90_000 } }, "INVALID_FIELD", "subscriber.settings.backoff.min_delay"],
      [{ settings: { onPoison: "BLOCK_LANE" }, events: ["x"] }, "ORDERED_QUEUE_REQUIRED", "subscriber.settings.on_poison"],
      [{ resumeTimeMs: wallMs(9e12) }, "INVALID_FIELD", "subscriber.resume_time"],
      [{ name: "none" }, "SUBSCRIBER_NOT_FOUND", undefined],
      [{ queue: "none" }, "QUEUE_NOT_FOUND", undefined],
    ] as const) {
      const refused = await failure(update(bench, parts));
      expect([refused.reason, refused.metadata["field"]]).to.deep.equal([reason, field]);
    }
    expect(await bench.broker.getSubscriber("orders", "billing")).to.deep.include({ own: {}, events: [], pause: undefined });
  });

  it("come back from their record, and are none in one of before there were any", () => {
    const record = { name: "s", events: ["a"], createTimeMs: wallMs(5), start: { kind: "latest" as const }, own: EVERYTHING, pause: { resumeTimeMs: wallMs(9) } };
    expect(decodeSubscriberRecord("s", encodeSubscriberRecord(record))).to.deep.equal(record);
    const forever = { ...record, pause: { resumeTimeMs: undefined } };
    expect(decodeSubscriberRecord("s", encodeSubscriberRecord(forever))).to.deep.equal(forever);
    const old = Buffer.from(JSON.stringify({ format: 1, events: [], createTimeMs: 5, start: "earliest", startOffset: 0 }));
    expect(decodeSubscriberRecord("s", old)).to.deep.equal({ name: "s", events: [], createTimeMs: 5, start: { kind: "earliest" }, own: {}, pause: undefined });
    expect(() => decodeSubscriberRecord("s", Buffer.from(JSON.stringify({ format: 1, events: [], createTimeMs: 5, start: "earliest", startOffset: 0, onPoison: "EXPLODE" })))).to.throw(RecordCorrupt);
  });
});

describe("A pause of a subscriber", () => {
  it("stops deliveries, survives a restart, and ends by itself", async () => {
    const bench = await benchWith("UNORDERED");
    const session = await bench.subscribe();
    const until = wallMs(bench.clock.wall() + 60_000);
    await update(bench, { paused: true, resumeTimeMs: until });
    expect(changes(session)).to.deep.equal([`an operator paused the subscriber until ${new Date(until).toISOString()}`]);
    await bench.publishMany(1);
    await bench.crashAndRestart();
    const again = await bench.subscribe();
    await settled();
    expect(again.offsets).to.deep.equal([]);
    expect(bench.broker.listClients("orders", undefined, 9).map(({ waitingFor }) => waitingFor)).to.deep.equal(["PAUSED"]);
    expect((await bench.broker.getSubscriber("orders", "billing")).pause).to.include({ resumeTimeMs: until });
    bench.clock.advance(60_000);
    await again.received(1);
    expect((await bench.broker.getSubscriber("orders", "billing")).pause).to.equal(undefined);
    await bench.crashAndRestart();
    expect((await bench.broker.getSubscriber("orders", "billing")).pause).to.equal(undefined);
  });

  it("ends when somebody ends it, is moved when another end is said, and a passed end is none", async () => {
    const bench = await benchWith("UNORDERED");
    const session = await bench.subscribe();
    await update(bench, { paused: true });
    const later = wallMs(bench.clock.wall() + 5_000);
    expect((await update(bench, { resumeTimeMs: later })).pause).to.include({ resumeTimeMs: later });
    expect((await update(bench, { paused: true })).pause).to.include({ resumeTimeMs: later });
    expect((await update(bench, { resumeTimeMs: undefined })).pause).to.include({ resumeTimeMs: undefined });
    expect((await update(bench, { paused: false })).pause).to.equal(undefined);
    expect((await update(bench, { paused: true, resumeTimeMs: bench.clock.wall() })).pause).to.equal(undefined);
    expect(changes(session).at(-1)).to.equal("an operator ended the pause");
  });
});

describe("A filter that an operator changes", () => {
  it("holds ahead, on open streams too, with its backlog; the offset is kept", async () => {
    const bench = await benchWith("UNORDERED");
    const session = await bench.subscribe({ events: ["a"], flow: { maxMessages: 1, maxBytes: 0, paused: false } });
    for (const event of ["b", "a", "b", "a", "b"]) await bench.accepted([{ event }]);
    await session.received(1);
    const info = await update(bench, { events: ["b"] });
    expect(info).to.deep.include({ events: ["b"], committedOffset: 1, backlogCount: 2 });
    expect((await bench.accepted([{ event: "a" }])).matchedSubscribers).to.equal(0);
    await session.ack(2);
    await session.received(2);
    await session.ack(3);
    expect(await session.received(3)).to.deep.equal([2, 3, 5]);
    expect(changes(session)).to.deep.equal(["events is b, from what was not looked at yet on"]);
    await session.ack(5);
    await bench.crashAndRestart();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.deep.include({ events: ["b"], backlogCount: 0 });
    expect((await failure(bench.subscribe({ events: ["a"] }))).reason).to.equal("FILTER_MISMATCH");
  });

  for (const ordering of ["ORDERED", "UNORDERED"] as const) {
    it(`keeps what the old one took and is not settled, across a restart, ${ordering}`, async () => {
      const bench = await benchWith(ordering);
      const session = await bench.subscribe({ events: ["a"] });
      await bench.accepted([{ event: "a", orderingKey: "x" }, { event: "a", orderingKey: "x" }]);
      await bench.accepted([{ event: "b", orderingKey: "x" }]);
      await session.received(1);
      await settled();
      await update(bench, { events: ["b"] });
      await bench.crashAndRestart();
      await bench.accepted([{ event: "b", orderingKey: "x" }, { event: "a", orderingKey: "x" }]);
      const again = await bench.subscribe({ maxInFlightPerLane: 9 });
      expect([...(await again.received(3))].sort()).to.deep.equal([1, 2, 4]);
      await again.ack(1, 5);
      expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ committedOffset: 5, backlogCount: 0 });
    });
  }

  it("lets a sleeper pass what it does not take any more", async () => {
    const bench = await benchWith("UNORDERED");
    const sleeper = await bench.subscribe({ events: ["a"] });
    sleeper.session.lost();
    await bench.accepted([{ event: "a" }, { event: "b" }]);
    await bench.advanceUntil("it stands before what it takes", async () => (await bench.broker.getSubscriber("orders", "billing")).backlogCount === 1, 500);
    await bench.advanceUntil("a pass is over", () => bench.clock.wall() > 0, 2_000);
    await update(bench, { events: ["c"] });
    await bench.accepted([{ event: "b" }]);
    await bench.advanceUntil("everything is trimmed", async () => (await bench.broker.getQueue("orders")).messageCount === 0, 500);
    expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(3);
  });

  it("is refused when too many earlier ones still count, and holds again when they do not", async () => {
    const bench = await benchWith("UNORDERED");
    const session = await bench.subscribe();
    for (let i = 0; i < LIMITS.earlierFiltersMax; i++) {
      await bench.publishMany(1);
      await session.received(i + 1);
      await update(bench, { events: i % 2 === 0 ? ["order.*"] : [] });
    }
    await bench.publishMany(1);
    await session.received(LIMITS.earlierFiltersMax + 1);
    const refused = await failure(update(bench, { events: ["x"], settings: { maxAttempts: 3 } }));
    expect([refused.reason, refused.metadata["limit"]]).to.deep.equal(["FILTER_CHANGES_PENDING", "16"]);
    expect((await bench.broker.getSubscriber("orders", "billing")).own).to.deep.equal({});
    await session.ack(1);
    expect((await update(bench, { events: ["x"] })).events).to.deep.equal(["x"]);
  });
});
