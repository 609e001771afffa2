import { expect } from "chai";
import type { Standing, SubscriberStanding } from "../../../../src/core/explanation.js";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { offset, wallMs } from "../../../../src/core/units.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const ORDERED = { ...SETTINGS, ordered: true };
const windowOf = (maxMessages: number, paused = false) => ({ flow: { maxMessages, maxBytes: 1_000, paused } });

function message(harness: SubscriptionHarness, at: number): Standing | undefined {
  return harness.machine.explaining.message(offset(at), harness.laneAt(at), harness.now);
}

function subscriber(harness: SubscriptionHarness): SubscriberStanding {
  return harness.machine.explaining.subscriber();
}

for (const settings of [SETTINGS, ORDERED]) {
  describe(`What is said of a message ${settings.ordered ? "in lanes" : "without order"}`, () => {
    const made = (count: number, parts: Partial<typeof settings> = {}): SubscriptionHarness => {
      const harness = new SubscriptionHarness({ ...settings, ...parts });
      harness.publishInLanes(...Array.from({ length: count }, (_, i) => ["made", i + 1] as const));
      return harness;
    };

    it("is that nobody is connected", () => {
      const harness = made(1);
      expect(message(harness, 1)).to.deep.equal({ reason: "NO_CLIENT" });
      expect(subscriber(harness)).to.deep.include({ reasons: ["NO_CLIENT"], oldest: undefined });
    });

    it("is who has it since when, at which attempt, and what is left of the lease", () => {
      const harness = made(2);
      harness.open("a", { ackTimeoutMs: 10_000 });
      harness.pass(4_000);
      expect(message(harness, 2)).to.deep.equal({
        ...{ reason: "IN_FLIGHT", attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" },
        holder: { session: "a", clientId: "client-a", batchId: 1, deliveryTimeMs: wallMs(1_000_000), leaseLeftMs: 6_000 },
      });
      harness.settle("a", { extends: [{ range: range(2), leaseMs: 20_000 }] });
      expect(message(harness, 2)?.holder?.leaseLeftMs).to.equal(20_000);
      expect(message(harness, 1)?.holder?.leaseLeftMs).to.equal(6_000);
      expect(subscriber(harness)).to.deep.include({ reasons: ["IN_FLIGHT", "NOTHING_NEW"], oldest: 1 });
      harness.ack("a", 1);
      expect([message(harness, 1), subscriber(harness).oldest]).to.deep.equal([undefined, 2]);
    });

    it("is that it has no lease where the transport's receipt settles it", () => {
      const harness = made(1);
      harness.open("a", { ackMode: "AUTO" });
      expect(message(harness, 1)?.holder).to.include({ session: "a", leaseLeftMs: undefined });
    });

    it("is until when it waits for its retry, and why it failed", () => {
      const harness = made(1);
      harness.open("a");
      harness.settle("a", { retries: [{ range: range(1), delayMs: 5_000, reason: "busy" }] });
      expect(message(harness, 1)).to.deep.equal({ reason: "WAITING_FOR_RETRY", attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "busy", retryTimeMs: wallMs(1_005_000) });
      expect(subscriber(harness).reasons).to.deep.equal(["WAITING_FOR_RETRY"]);
      harness.end("a");
      harness.pass(5_000);
      expect(message(harness, 1)).to.include({ reason: "NO_CLIENT", attempt: 2, lastReason: "busy" });
    });

    it("is that an operator paused the subscriber, and until when", () => {
      const harness = made(1);
      harness.step({ type: "pause_changed", pause: { resumeTimeMs: wallMs(1_060_000) }, detail: "" });
      harness.open("a");
      expect(message(harness, 1)).to.deep.equal({ reason: "SUBSCRIBER_PAUSED", resumeTimeMs: 1_060_000 });
      expect(subscriber(harness)).to.deep.include({ reasons: ["SUBSCRIBER_PAUSED"], resumeTimeMs: 1_060_000 });
      expect(subscriber(harness).sessions).to.deep.equal([
        { session: "a", clientId: "client-a", waitingFor: "PAUSED", window: { messagesUsed: 0, messagesAllowed: 1_000, bytesUsed: 0, bytesAllowed: 1_000_000 } },
      ]);
    });

    it("is that all clients are paused or drain", () => {
      const harness = made(1);
      harness.open("a", windowOf(9, true));
      expect(message(harness, 1)).to.deep.equal({ reason: "CLIENTS_PAUSED" });
      expect(subscriber(harness).reasons).to.deep.equal(["CLIENTS_PAUSED"]);
    });

    it("is that the windows of all clients are full, used and allowed added up", () => {
      const harness = made(4);
      harness.open("a", windowOf(1));
      harness.open("b", windowOf(2));
      expect(message(harness, 4)).to.deep.equal({ reason: "WINDOW_FULL", window: { messagesUsed: 3, messagesAllowed: 3, bytesUsed: 30, bytesAllowed: 2_000 } });
      expect(subscriber(harness).reasons).to.deep.equal(["WINDOW_FULL", "IN_FLIGHT"]);
      expect(subscriber(harness).sessions.map(({ waitingFor }) => waitingFor)).to.deep.equal(["FLOW", "FLOW"]);
    });

    it("is that the subscriber is at its max_unsettled", () => {
      const harness = made(4, { maxUnsettled: 2 });
      harness.open("a");
      const { unsettled } = subscriber(harness);
      expect(message(harness, 4)).to.deep.equal({ reason: "UNSETTLED_LIMIT", window: unsettled });
      expect(unsettled.messagesUsed).to.be.at.least(2);
      expect(subscriber(harness).reasons).to.deep.equal(["UNSETTLED_LIMIT", "IN_FLIGHT"]);
    });

    it("is that it is on its way to the dead letters", () => {
      const harness = made(1);
      harness.buriesLate = true;
      harness.open("a");
      harness.settle("a", { rejects: [{ range: range(1), reason: "bad" }] });
      expect(message(harness, 1)).to.include({ reason: "DEAD_LETTERED", attempt: 1, lastReason: "bad" });
      harness.finishBurying();
      expect(message(harness, 1)).to.equal(undefined);
    });

    it("is nothing where it was settled, or finished by its client before", () => {
      const harness = made(3);
      harness.open("a");
      harness.ack("a", 1, 3);
      expect([1, 2, 3].map((at) => message(harness, at))).to.deep.equal([undefined, undefined, undefined]);
      expect(subscriber(harness)).to.deep.include({ reasons: ["NOTHING_NEW"], oldest: undefined });
    });

    it("is that one who stands by is no client to deliver to", () => {
      const harness = made(2);
      harness.open("a", { sharing: "EXCLUSIVE", ...windowOf(1) });
      harness.open("b", { sharing: "EXCLUSIVE" });
      expect(message(harness, 2)).to.include({ reason: "WINDOW_FULL" });
      expect(subscriber(harness).sessions.map(({ waitingFor }) => waitingFor)).to.deep.equal(["FLOW", "STANDBY"]);
    });
  });
}

describe("What is said of a lane", () => {
  it("is which message comes first, and where that stands", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["made", 1], ["made", 1], ["made", 2]);
    harness.open("a");
    expect(message(harness, 2)).to.deep.equal({ reason: "LANE_BLOCKED", lane: { blockingOffset: 1, blockingReason: "IN_FLIGHT", blockedByPoison: false } });
    expect(subscriber(harness).reasons).to.deep.equal(["LANE_BLOCKED", "IN_FLIGHT"]);
    harness.settle("a", { retries: [{ range: range(1), delayMs: 1_000, reason: "busy" }], acks: [range(3)] });
    expect(message(harness, 2)?.lane).to.include({ blockingOffset: 1, blockingReason: "WAITING_FOR_RETRY" });
    expect(subscriber(harness).sessions[0]?.waitingFor).to.equal("RETRY_DELAY");
    harness.end("a");
    harness.publishInLanes(["made", 1]);
    expect(message(harness, 4)?.lane).to.include({ blockingOffset: 1 });
  });

  it("is that an ack waits for the message before it", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["made", 1], ["made", 1]);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.ack("a", 2);
    expect(message(harness, 2)).to.deep.include({ reason: "ACK_PENDING", lane: { blockingOffset: 1, blockingReason: "IN_FLIGHT", blockedByPoison: false } });
    expect(message(harness, 2)?.holder).to.include({ session: "a", leaseLeftMs: undefined });
  });

  it("is that poison blocks it until somebody decides", () => {
    const harness = new SubscriptionHarness({ ...ORDERED, onPoison: "BLOCK_LANE", maxAttempts: 1 });
    harness.publishInLanes(["made", 1], ["made", 1]);
    harness.open("a");
    harness.settle("a", { retries: [{ range: range(1), delayMs: undefined, reason: "no" }] });
    expect(message(harness, 1)).to.deep.include({ reason: "LANE_BLOCKED", attempt: 1, lastReason: "no", lane: { blockingOffset: 1, blockingReason: "LANE_BLOCKED", blockedByPoison: true } });
    expect(message(harness, 2)?.lane).to.deep.equal({ blockingOffset: 1, blockingReason: "LANE_BLOCKED", blockedByPoison: true });
    expect(subscriber(harness).reasons).to.deep.equal(["LANE_BLOCKED"]);
  });
});

describe("The filter of a message that is explained", () => {
  it("is the one it was looked at with", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, filter: EventFilter.parse(["a"]) });
    harness.publish("a");
    harness.open("s");
    harness.step({ type: "filter_changed", filter: EventFilter.parse(["b"]), detail: "" });
    expect([1, 2].map((at) => harness.machine.filters.at(offset(at)).patterns)).to.deep.equal([["a"], ["b"]]);
  });
});
