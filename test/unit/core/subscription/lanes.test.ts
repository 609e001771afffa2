import { expect } from "chai";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const ORDERED = { ...SETTINGS, ordered: true };
const window = (maxMessages: number) => ({ maxMessages, maxBytes: 1_000_000_000, paused: false });

/** Messages of these lanes, in this order. */
function publish(harness: SubscriptionHarness, ...lanes: number[]): void {
  harness.publishInLanes(...lanes.map((lane) => ["made", lane] as const));
}

function recalls(harness: SubscriptionHarness): (readonly [string, number, number])[] {
  return harness.effects.flatMap((effect) => (effect.type === "recall" ? effect.ranges.map(({ first, last }) => [effect.session, first, last] as const) : []));
}

function codes(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures.map(({ code }) => code) : []));
}

function confirmed(harness: SubscriptionHarness): bigint[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.requestIds : []));
}

describe("lanes", () => {
  it("hand out one message at a time, and the next when that is settled", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 7, 7, 7);
    harness.open("a");
    expect(harness.offsetsReceived()).to.deep.equal([1]);
    harness.ack("a", 1);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    harness.ack("a", 2);
    harness.ack("a", 3);
    expect(harness.machine.counts().committedOffset).to.equal(3);
  });

  it("go beside each other, in one batch", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 2, 1, 3, 2);
    harness.open("a");
    expect(harness.received.map((batch) => batch.offsets)).to.deep.equal([[1, 2, 4]]);
    harness.ack("a", 2);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 4, 5]);
  });

  it("without keys are one lane", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishMany(3);
    harness.open("a");
    harness.open("b");
    expect(harness.received.map((batch) => [batch.session, batch.offsets])).to.deep.equal([["a", [1]]]);
    harness.end("a", true);
    expect(harness.received[1]).to.deep.include({ session: "b", offsets: [1] });
  });

  it("hand out deeper to a session that asks for it, all to the same session", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1, 1, 1, 1);
    harness.open("a", { maxInFlightPerLane: 3 });
    harness.open("b", { maxInFlightPerLane: 3 });
    expect(harness.received.map((batch) => [batch.session, batch.offsets])).to.deep.equal([["a", [1, 2, 3]]]);
    harness.ack("a", 1);
    expect(harness.offsetsReceived("a")).to.deep.equal([1, 2, 3, 4]);
    expect(harness.offsetsReceived("b")).to.deep.equal([]);
  });

  it("keep an ack behind an unsettled message waiting, and confirm it when that is settled", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { acks: [range(2)] }, 5n);
    expect(confirmed(harness)).to.deep.equal([]);
    expect(harness.machine.counts().committedOffset).to.equal(0);
    harness.settle("a", { acks: [range(1)] }, 6n);
    expect(confirmed(harness)).to.have.members([5n, 6n]);
    expect(harness.machine.counts().committedOffset).to.equal(2);
  });

  it("recall what follows a retried message, before it comes again in order", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1, 1, 2);
    harness.open("a", { maxInFlightPerLane: 10 });
    harness.settle("a", { retries: [{ range: range(1), delayMs: 500, reason: "busy" }] });
    expect(recalls(harness)).to.deep.equal([["a", 2, 3]]);
    harness.settle("a", { acks: [range(2, 3, 1)] }, 1n);
    expect(codes(harness)).to.deep.equal(["LEASE_LOST"]);
    harness.pass(500);
    expect(harness.received.slice(1).map((batch) => [batch.offsets, batch.batch.attempt, batch.batch.cause])).to.deep.equal([
      [[1], 2, "RETRY"],
      [[2, 3], 1, "RELEASED"],
    ]);
  });

  it("confirm an ack that is given again no sooner than the first one", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1, 1);
    harness.open("a", { maxInFlightPerLane: 3 });
    harness.settle("a", { acks: [range(2)] }, 5n);
    harness.settle("a", { acks: [range(2)] }, 6n);
    harness.settle("a", { acks: [range(2, 2, 1)] }, 7n);
    expect(confirmed(harness)).to.deep.equal([]);
    harness.ack("a", 1);
    expect(confirmed(harness)).to.have.members([5n, 6n, 7n]);
    expect(codes(harness)).to.deep.equal([]);
  });

  it("drop an ack that was given twice as LEASE_LOST for both", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { acks: [range(2)] }, 5n);
    harness.settle("a", { acks: [range(2)] }, 6n);
    harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "" }] }, 7n);
    expect(confirmed(harness)).to.have.members([5n, 6n, 7n]);
    expect(codes(harness)).to.deep.equal(["LEASE_LOST", "LEASE_LOST"]);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 1, 2]);
  });

  it("confirm a reject that is given again when the copy is durable, also behind another message", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.buriesLate = true;
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    const reject = { rejects: [{ range: range(2), reason: "no" }] };
    harness.settle("a", reject, 5n);
    harness.settle("a", reject, 6n);
    harness.ack("a", 1);
    harness.settle("a", reject, 7n);
    expect(confirmed(harness)).to.deep.equal([]);
    harness.finishBurying();
    expect(confirmed(harness)).to.have.members([5n, 6n, 7n]);
    expect(harness.deadLetters.map(({ offset }) => offset)).to.deep.equal([2]);
  });

  it("confirm a cumulative ack no sooner than the ones before it, which it covers", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.buriesLate = true;
    publish(harness, 1, 1, 2);
    harness.open("a", { maxInFlightPerLane: 2, maxBatchMessages: 2 });
    harness.settle("a", { rejects: [{ range: range(1), reason: "no" }] }, 4n);
    harness.settle("a", { ackThroughBatchId: 1 }, 5n);
    harness.settle("a", { ackThroughBatchId: 1 }, 6n);
    harness.settle("a", { ackThroughBatchId: 2 }, 7n);
    expect(confirmed(harness)).to.deep.equal([]);
    harness.finishBurying();
    expect(confirmed(harness)).to.have.members([4n, 5n, 6n, 7n]);
    expect(codes(harness)).to.deep.equal([]);
  });

  it("drop an ack that waited behind a message that came back, as LEASE_LOST", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { acks: [range(2)] }, 5n);
    harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "" }] }, 6n);
    expect(codes(harness)).to.deep.equal(["LEASE_LOST"]);
    expect(confirmed(harness)).to.have.members([5n, 6n]);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 1, 2]);
  });

  it("recall after a timeout, counting only the message that timed out", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { extends: [{ range: range(2), leaseMs: 60_000 }] });
    harness.pass(10_000);
    expect(recalls(harness)).to.deep.equal([["a", 2, 2]]);
    expect(harness.received.slice(1).map((batch) => [batch.offsets, batch.batch.deliveryCount])).to.deep.equal([[[1], 2], [[2], 1]]);
  });

  it("count every message in flight when their session is lost", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.end("a");
    harness.open("b", { maxInFlightPerLane: 2 });
    expect(harness.received.slice(1).map((batch) => [batch.offsets, batch.batch.deliveryCount, batch.batch.cause])).to.deep.equal([[[1, 2], 2, "DISCONNECT"]]);
  });

  it("keep the attempt of a message whose ack waited when its session was lost", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { retries: [{ range: range(2), delayMs: 0, reason: "" }] });
    harness.ack("a", 2);
    harness.end("a");
    harness.open("b", { maxInFlightPerLane: 2 });
    expect(harness.received.filter((batch) => batch.session === "b").map((batch) => [batch.offsets, batch.batch.attempt])).to.deep.equal([[[1], 1], [[2], 2]]);
  });

  it("keep the counts of a message whose ack waited when the server crashed", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.pass(10_000);
    expect(harness.received[1]?.batch.deliveryCount).to.equal(2);
    harness.ack("a", 2);
    // Something of another lane brings the cursor to the disk.
    publish(harness, 2);
    harness.ack("a", 3);
    harness.crash();
    harness.open("b", { maxInFlightPerLane: 2 });
    expect(harness.received.filter((batch) => batch.session === "b").map((batch) => [batch.offsets, batch.batch.deliveryCount])).to.deep.equal([[[1, 2], 2]]);
  });

  it("wait for the copy of a dead letter before they go on", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a");
    harness.settle("a", { rejects: [{ range: range(1), reason: "no" }] });
    expect(harness.deadLetters.map((letter) => letter.offset)).to.deep.equal([1]);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
  });

  it("reject a message behind an unsettled one only when its turn comes", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { rejects: [{ range: range(2), reason: "no" }] }, 1n);
    expect(harness.deadLetters).to.deep.equal([]);
    harness.ack("a", 1);
    expect(harness.deadLetters.map((letter) => letter.offset)).to.deep.equal([2]);
    expect(confirmed(harness)).to.include(1n);
  });

  it("go on where they were after a restart", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 2, 1, 2, 1);
    harness.open("a");
    harness.ack("a", 2);
    harness.ack("a", 1);
    harness.crash();
    harness.open("b");
    expect(harness.offsetsReceived("b")).to.deep.equal([3, 4]);
    harness.ack("b", 3, 4);
    expect(harness.offsetsReceived("b")).to.deep.equal([3, 4, 5]);
  });

  it("say what a session waits for", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, 1, 1);
    harness.open("a");
    harness.open("b");
    expect(harness.machine.explaining.waitingFor("b")).to.equal("LANE");
    harness.ack("a", 1);
    harness.ack("b", 2);
    expect(harness.machine.explaining.waitingFor("a")).to.equal("NOTHING_NEW");
  });

  it("cost what lags, not what is behind: 100,000 keys and one stuck lane", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.open("stuck", { flow: window(1), ackTimeoutMs: 3_600_000 });
    publish(harness, 1);
    harness.open("a", { flow: window(2_000), maxBatchMessages: 1_000 });
    let acked = 0;
    for (let start = 2; start <= 100_000; start += 1_000) {
      publish(harness, ...Array.from({ length: 1_000 }, (_, i) => (i === 0 ? 1 : start + i)));
      for (; acked < harness.received.length; acked++) {
        const batch = harness.received[acked];
        if (batch?.session !== "a") continue;
        harness.ack("a", batch.offsets[0] ?? 0, batch.offsets[batch.offsets.length - 1]);
      }
    }
    const census = harness.machine.census();
    expect(census.lanes.map(({ hash, behind }) => [hash, behind])).to.deep.equal([[1n, 100]]);
    expect(harness.machine.encodeCursor().bytes.length).to.be.below(64);
    harness.ack("stuck", 1);
    harness.end("stuck", true);
    for (let turn = 0; turn < 100; turn++) {
      const last = harness.received[harness.received.length - 1];
      harness.ack("a", last?.offsets[0] ?? 0);
    }
    expect(harness.machine.counts().committedOffset).to.equal(harness.head);
  });

  it("cost a step what happens in it, not what lags: 100,000 lanes behind a full window", () => {
    const harness = new SubscriptionHarness({ ...ORDERED, maxUnsettled: 1_000_000 }, false);
    const lanes = 100_000;
    for (let start = 0; start < 2 * lanes; start += 1_000) publish(harness, ...Array.from({ length: 1_000 }, (_, i) => (start + i) % lanes));
    harness.open("first", { flow: window(lanes), maxBatchMessages: 1_000 });
    harness.end("first", true);
    harness.open("a", { flow: window(10) });
    let seen = harness.received.findIndex((batch) => batch.session === "a");
    let acked = 0;
    // One look at every lane in each step would be a thousand million looks.
    while (acked < 10_000) {
      for (const at of harness.received[seen++]?.offsets ?? []) {
        harness.ack("a", at);
        acked++;
      }
    }
    expect(harness.offsetsReceived("a")).to.deep.equal(Array.from({ length: 10_010 }, (_, i) => i + 1));
  });

  it("do not let one hot key starve 10,000 others", () => {
    const harness = new SubscriptionHarness(ORDERED);
    publish(harness, ...Array.from({ length: 20_000 }, () => 1));
    publish(harness, ...Array.from({ length: 10_000 }, (_, i) => 2 + i));
    harness.open("a", { flow: window(10_001), maxBatchMessages: 1_000 });
    expect(harness.offsetsReceived()).to.have.length(1 + 9_999);
  });
});
