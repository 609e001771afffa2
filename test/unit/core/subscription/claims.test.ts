import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import type { OffsetRun } from "../../../../src/core/session.js";
import { offset } from "../../../../src/core/units.js";
import { NO_SETTLEMENT, range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const ORDERED = { ...SETTINGS, ordered: true };
const QUEUES = [["unordered", SETTINGS], ["ordered", ORDERED]] as const;
const EXCLUSIVE = { sharing: "EXCLUSIVE", maxInFlightPerLane: 10 } as const;
const PAUSED = { flow: { maxMessages: 10, maxBytes: 1_000, paused: true } };

const run = (first: number, last = first): OffsetRun => ({ first: offset(first), last: offset(last) });
const through = (value: number) => ({ processedThrough: offset(value) });

function ready(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "session_ready" ? [effect.session] : []));
}

/** Everything that was changed so far reaches the disk. */
function saveAll(harness: SubscriptionHarness): void {
  while (harness.isSaving) harness.finishSaving();
}

describe("a client's own position", () => {
  for (const [order, settings] of QUEUES) {

    it(`settles everything up to it before the session is ready, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings, false);
      harness.publishMany(5);
      harness.open("a", EXCLUSIVE, through(3));
      expect(ready(harness)).to.deep.equal([]);
      expect(harness.machine.counts().committedOffset).to.equal(0);
      harness.finishSaving();
      expect(ready(harness)).to.deep.equal(["a"]);
      expect(harness.machine.counts().committedOffset).to.equal(3);
      expect(harness.offsetsReceived()).to.deep.equal([4, 5]);
    });

    it(`settles what came back from another session, ready or waiting for its retry, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishInLanes(...[1, 2, 1, 2, 3].map((lane) => ["made", lane] as const));
      harness.open("a", EXCLUSIVE);
      harness.settle("a", { retries: [{ range: range(1), delayMs: 5_000, reason: "later" }, { range: range(5), delayMs: 5_000, reason: "" }] });
      harness.end("a");
      harness.open("b", EXCLUSIVE, through(3));
      expect(harness.machine.counts()).to.include({ committedOffset: 3, waitingRetry: 1 });
      harness.pass(5_000);
      expect(harness.offsetsReceived("b")).to.deep.equal([4, 5]);
      harness.ack("b", 4, 5);
      expect(harness.machine.counts()).to.include({ committedOffset: 5, unsettled: 0, waitingRetry: 0 });
    });

    it(`survives a crash, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(4);
      harness.open("a", { ...EXCLUSIVE, ...PAUSED }, through(2));
      harness.crash();
      expect(harness.machine.settledThrough).to.equal(2);
      harness.open("b", EXCLUSIVE);
      expect(harness.offsetsReceived()).to.deep.equal([3, 4]);
    });

    it(`of a session that stands by settles nothing, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(3);
      harness.open("a", EXCLUSIVE);
      harness.open("b", EXCLUSIVE, through(3));
      expect(ready(harness)).to.deep.equal(["a", "b"]);
      expect(harness.machine.counts().committedOffset).to.equal(0);
      harness.end("a", true);
      expect(harness.offsetsReceived("b")).to.deep.equal([1, 2, 3]);
    });

    it(`waits for a dead letter that is on its way, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings, false);
      harness.publishMany(2);
      harness.open("a", EXCLUSIVE);
      const effects = harness.machine.step({ type: "settle_received", session: "a", requestId: 0n, settlement: { ...NO_SETTLEMENT, rejects: [{ range: range(1), reason: "no" }] } }, harness.now);
      expect(effects.map(({ type }) => type)).to.include("bury");
      harness.end("a");
      harness.open("b", EXCLUSIVE, through(2));
      saveAll(harness);
      expect(ready(harness)).to.deep.equal(["a"]);
      harness.step({ type: "dead_letters_copied", offsets: [offset(1)] });
      saveAll(harness);
      expect(ready(harness)).to.deep.equal(["a", "b"]);
      expect(harness.machine.counts().committedOffset).to.equal(2);
      expect(harness.offsetsReceived("b")).to.deep.equal([]);
    });
  }

  it("counts as what is settled, and so do verdicts, but not what the filter passed", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, filter: EventFilter.parse(["a"]) });
    harness.open("s", EXCLUSIVE);
    harness.publish("a", "b", "b");
    expect(harness.machine.settledThrough).to.equal(0);
    harness.ack("s", 1);
    expect(harness.machine.counts().committedOffset).to.equal(3);
    expect(harness.machine.settledThrough).to.equal(1);
    harness.end("s");
    harness.open("t", EXCLUSIVE, through(2));
    expect(harness.machine.settledThrough).to.equal(2);
  });

  it("is no further than the first message that is not settled", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(3);
    harness.open("a", EXCLUSIVE);
    harness.ack("a", 3);
    expect(harness.machine.settledThrough).to.equal(0);
  });
});

describe("what a client had finished", () => {
  for (const [order, settings] of QUEUES) {

    it(`is settled although it was never handed out, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings, false);
      harness.publishInLanes(...[1, 2, 3, 4, 5].map((lane) => ["made", lane] as const));
      harness.open("a", {}, { done: [run(1, 2), run(4)] });
      expect(ready(harness)).to.deep.equal([]);
      saveAll(harness);
      expect(ready(harness)).to.deep.equal(["a"]);
      expect(harness.offsetsReceived()).to.deep.equal([3, 5]);
      harness.ack("a", 3);
      harness.ack("a", 5);
      saveAll(harness);
      expect(harness.machine.counts()).to.include({ committedOffset: 5, unsettled: 0 });
    });

    it(`is settled at once where nothing is before it, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(5);
      harness.open("a", PAUSED, { done: [run(1, 3)] });
      expect(harness.machine.counts().committedOffset).to.equal(3);
    });

    it(`is settled when it has come back, also from a retry, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishInLanes(...[1, 2, 3, 4].map((lane) => ["made", lane] as const));
      harness.open("a");
      harness.settle("a", { retries: [{ range: range(2), delayMs: 60_000, reason: "later" }] });
      harness.end("a");
      harness.open("b", {}, { done: [run(1, 3)] });
      expect(harness.offsetsReceived("b")).to.deep.equal([4]);
      harness.ack("b", 4);
      expect(harness.machine.counts()).to.include({ committedOffset: 4, unsettled: 0, waitingRetry: 0 });
    });

    it(`stays with the session that holds it now, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(1);
      harness.open("a");
      harness.open("b", {}, { done: [run(1)] });
      expect(harness.machine.counts().committedOffset).to.equal(0);
      harness.end("a", true);
      expect(harness.offsetsReceived("b")).to.deep.equal([1]);
    });

    it(`is not forgotten by a crash, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishInLanes(...[1, 2, 3, 4].map((lane) => ["made", lane] as const));
      harness.open("a", PAUSED, { done: [run(2), run(4)] });
      harness.crash();
      harness.open("b");
      expect(harness.offsetsReceived("b")).to.deep.equal([1, 3]);
    });

    it(`says nothing about what the filter does not take, on an ${order} queue`, () => {
      const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["a"]) });
      harness.publish("b", "a", "b", "a");
      harness.open("s", { maxInFlightPerLane: 10 }, { done: [run(1, 3)] });
      expect(harness.offsetsReceived()).to.deep.equal([4]);
      harness.ack("s", 4);
      expect(harness.machine.counts().committedOffset).to.equal(4);
    });
  }

  it("is settled in a lane only where nothing unsettled is before it", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(...[1, 2, 1, 2].map((lane) => ["made", lane] as const));
    harness.open("a", {}, { done: [run(2, 3)] });
    // 2 is first of its lane, 3 is behind 1.
    expect(harness.offsetsReceived()).to.deep.equal([1, 4]);
    harness.ack("a", 4);
    expect(harness.machine.counts().committedOffset).to.equal(0);
  });

  for (const [where, keys] of [["behind it in its lane", [1, 1, 1]], ["in the log behind a lane that is settled by then", [1, ...Array.from({ length: 20 }, (_, i) => i + 2), 1, 1]]] as const) {
    it(`comes again after an unsettled one, when it is ${where}`, () => {
      const harness = new SubscriptionHarness(ORDERED);
      harness.publishInLanes(...keys.map((lane) => ["made", lane] as const));
      const second = keys.length - 1;
      harness.open("a", { flow: { maxMessages: 1, maxBytes: 1_000, paused: false } }, { done: [run(second)] });
      for (let at = 1; at <= keys.length; at++) harness.ack("a", at);
      expect(harness.offsetsReceived()).to.deep.equal(keys.map((_, i) => i + 1));
    });
  }

  it("is settled in a lane whose earlier messages came back and are claimed as well", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(...[1, 1, 1].map((lane) => ["made", lane] as const));
    harness.open("a", { maxInFlightPerLane: 3 }, { done: [run(3)] });
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
    harness.end("a");
    harness.open("b", { maxInFlightPerLane: 3 }, { done: [run(1, 2)] });
    expect(harness.offsetsReceived("b")).to.deep.equal([3]);
  });

  it("is given up when more lanes hand something out before it is reached than may be unsettled", () => {
    const harness = new SubscriptionHarness({ ...ORDERED, maxUnsettled: 5 });
    harness.publishInLanes(...Array.from({ length: 20 }, (_, i) => ["made", i] as const));
    harness.open("a", {}, { done: [run(20)] });
    for (let at = 1; at <= 20; at++) harness.ack("a", at);
    expect(harness.offsetsReceived()).to.include(20);
    expect(harness.machine.counts().committedOffset).to.equal(20);
  });

  it("is forgotten when it goes out behind an unsettled one, so that a later verdict on it stands", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(...[1, 1].map((lane) => ["made", lane] as const));
    harness.open("a", { maxInFlightPerLane: 2 }, { done: [run(2)] });
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    harness.settle("a", { retries: [{ range: range(2), delayMs: 0, reason: "again" }] });
    harness.ack("a", 1);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 2]);
  });

  it("is bounded, however many runs clients claim", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, maxUnsettled: 50 });
    harness.publishMany(1_000);
    for (let i = 0; i < 5; i++) harness.open(`s${i}`, PAUSED, { done: Array.from({ length: 100 }, (_, k) => run(2 + 200 * i + 2 * k)) });
    expect(harness.machine.encodeCursor().bytes.length).to.be.below(400);
  });
});
