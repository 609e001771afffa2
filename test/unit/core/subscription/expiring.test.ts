import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const ORDERED = { ...SETTINGS, ordered: true };

describe("messages that expire", () => {
  for (const settings of [SETTINGS, ORDERED]) {
    describe(settings.ordered ? "in lanes" : "without order", () => {
      let harness: SubscriptionHarness;

      beforeEach(() => {
        harness = new SubscriptionHarness(settings);
      });

      const expired = (): number => harness.machine.counts().expired;
      const committed = (): number => harness.machine.counts().committedOffset;

      it("are handed out until their time has passed, and never from then on", () => {
        harness.publishInLanes(["a", 1, 1_000], ["a", 2, 2_000], ["a", 3], ["a", 4, 1_000]);
        harness.pass(999);
        harness.open("s", { flow: { maxMessages: 1, maxBytes: 1_000, paused: false } });
        expect(harness.offsetsReceived()).to.deep.equal([1]);
        harness.pass(1);
        harness.ack("s", 1);
        harness.ack("s", 2);
        harness.ack("s", 3);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
        expect(committed()).to.equal(4);
        expect(expired()).to.equal(1);
      });

      it("are settled and counted once, whoever looks at them, also when nobody is connected", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 1, 10], ["a", 1]);
        harness.pass(10);
        harness.leadOver();
        harness.leadOver();
        expect(committed()).to.equal(2);
        expect(expired()).to.equal(2);
        harness.open("s");
        expect(harness.offsetsReceived()).to.deep.equal([3]);
        expect(expired()).to.equal(2);
      });

      it("stay counted over a crash", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 2]);
        harness.pass(10);
        harness.open("s");
        harness.ack("s", 2);
        harness.crash();
        expect(expired()).to.equal(1);
        expect(committed()).to.equal(2);
      });

      it("may be acked late by who has them in hand, but not retried, rejected or released", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 2, 10], ["a", 3, 10], ["a", 4, 10], ["a", 5]);
        harness.open("s");
        harness.pass(10);
        const failures = (): unknown[] => harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures : [])).map(({ requestId, range: { first, last }, code }) => [requestId, first, last, code]);
        harness.settle("s", { acks: [range(1)], retries: [{ range: range(2), delayMs: 1, reason: "" }], rejects: [{ range: range(3), reason: "" }], releases: [range(4)] }, 1n);
        expect(failures()).to.deep.equal([[1n, 2, 4, "ALREADY_SETTLED"]]);
        harness.pass(1_000);
        expect(harness.deadLetters).to.deep.equal([]);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4, 5]);
        harness.settle("s", { retries: [{ range: range(5), delayMs: 1, reason: "" }] }, 2n);
        expect(failures()).to.have.length(1);
        expect(committed()).to.equal(4);
        expect(expired()).to.equal(3);
      });

      it("do not come again when their lease runs out, or their session is lost", () => {
        harness.publishInLanes(["a", 1, 500], ["a", 2, 20_000]);
        harness.open("s", { ackTimeoutMs: 1_000 });
        harness.pass(1_000);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 2]);
        harness.pass(20_000);
        harness.end("s");
        harness.open("t");
        expect(harness.offsetsReceived("t")).to.deep.equal([]);
        expect(committed()).to.equal(2);
        expect(expired()).to.equal(2);
      });

      it("do not come again when they expire while they wait for a retry", () => {
        harness.publishInLanes(["a", 1, 500]);
        harness.open("s");
        harness.settle("s", { retries: [{ range: range(1), delayMs: 1_000, reason: "busy" }] });
        harness.pass(1_000);
        expect(harness.offsetsReceived()).to.deep.equal([1]);
        expect(committed()).to.equal(1);
      });

      it("that the filter does not take are not counted", () => {
        harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["b"]) });
        harness.publishInLanes(["a", 1, 10], ["b", 1, 10]);
        harness.pass(10);
        harness.open("s");
        expect(expired()).to.equal(1);
      });
    });
  }

  it("free their lane, also while they wait for a retry that would come later", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["a", 1, 500], ["a", 1]);
    harness.open("s");
    harness.settle("s", { retries: [{ range: range(1), delayMs: 60_000, reason: "busy" }] });
    harness.pass(499);
    expect(harness.offsetsReceived()).to.deep.equal([1]);
    expect(harness.machine.nextWake()).to.equal(harness.now.monotonicMs + 1);
    harness.pass(1);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    expect(harness.machine.counts()).to.include({ waitingRetry: 0, expired: 1 });
  });

  it("wait in their lane for what is in flight before them, and are settled then", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["a", 1], ["a", 1, 10], ["a", 1]);
    harness.open("s", { maxInFlightPerLane: 3 });
    harness.crash();
    harness.pass(10);
    harness.open("t", { maxInFlightPerLane: 3 });
    expect(harness.offsetsReceived("t")).to.deep.equal([1]);
    harness.ack("t", 1);
    expect(harness.offsetsReceived("t")).to.deep.equal([1, 3]);
    expect(harness.machine.counts()).to.include({ committedOffset: 2, expired: 1 });
  });
});
