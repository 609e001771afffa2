import { expect } from "chai";
import { LIMITS } from "../../../../src/core/limits.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const UNORDERED = { ...SETTINGS, onExpiry: "DEAD_LETTER" as const };
const ORDERED = { ...UNORDERED, ordered: true };

function letters(harness: SubscriptionHarness): unknown[] {
  return harness.deadLetters.map(({ offset, reason, detail, attempts, deliveries, holderClient }) => [offset, reason, detail, attempts, deliveries, holderClient]);
}

describe("messages that expire and are to be dead letters", () => {
  for (const settings of [UNORDERED, ORDERED]) {
    describe(settings.ordered ? "in lanes" : "without order", () => {
      let harness: SubscriptionHarness;

      beforeEach(() => {
        harness = new SubscriptionHarness(settings);
      });

      it("become some without being handed out, are counted as expired, and what follows goes on", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 1, 10], ["a", 1]);
        harness.pass(10);
        harness.open("s");
        expect(harness.offsetsReceived()).to.deep.equal([3]);
        expect(letters(harness)).to.deep.equal([[1, "EXPIRED", "", 1, 1, ""], [2, "EXPIRED", "", 1, 1, ""]]);
        expect(harness.machine.counts()).to.include({ committedOffset: 2, expired: 2 });
      });

      it("become some while nobody is connected, as far as nothing stands before them", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 1, 10], ["a", 2, 10], ["a", 2], ["a", 3, 10]);
        harness.pass(10);
        harness.leadOver();
        expect(harness.deadLetters.map(({ offset }) => offset)).to.deep.equal([1, 2, 3]);
        expect(harness.machine.counts()).to.include({ committedOffset: 3, next: 4, expired: 3, unsettled: 0 });
      });

      it("do not count as settled before their copies are in the commit of the cursor", () => {
        harness.buriesLate = true;
        harness.publishInLanes(["a", 1, 10], ["a", 1]);
        harness.pass(10);
        harness.open("s");
        expect(harness.machine.counts()).to.include({ committedOffset: 0, expired: 0 });
        expect(harness.machine.census().burying).to.deep.equal([1]);
        expect(harness.offsetsReceived()).to.deep.equal(settings.ordered ? [] : [2]);
        harness.finishBurying();
        expect(harness.offsetsReceived()).to.deep.equal([2]);
        expect(harness.machine.counts()).to.include({ committedOffset: 1, expired: 1 });
      });

      it("become some once, though the server is killed on the way", () => {
        harness.buriesLate = true;
        harness.publishInLanes(["a", 1, 10], ["a", 1, 10], ["a", 2]);
        harness.pass(10);
        harness.open("s");
        harness.ack("s", 3);
        harness.crash();
        expect(harness.deadLetters).to.deep.equal([]);
        harness.buriesLate = false;
        harness.open("t");
        expect(harness.deadLetters.map(({ offset }) => offset)).to.deep.equal([1, 2]);
        expect(harness.machine.counts()).to.include({ committedOffset: 3, expired: 2, unsettled: 0 });
      });

      it("keep their counts and the last words, when they expired while they waited for a retry, over a kill too", () => {
        harness.publishInLanes(["a", 1, 500]);
        harness.open("s");
        harness.settle("s", { retries: [{ range: range(1), delayMs: 1_000, reason: "busy" }] });
        harness.buriesLate = true;
        harness.pass(1_000);
        harness.crash();
        harness.buriesLate = false;
        harness.open("t");
        expect(letters(harness)).to.deep.equal([[1, "EXPIRED", "busy", 2, 1, ""]]);
        expect(harness.offsetsReceived()).to.deep.equal([1]);
      });

      it("in hand, may be acked late; after another verdict, a lease that ran out or a lost session they become some", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 2, 10], ["a", 3, 10], ["a", 4, 10]);
        harness.open("s", { ackTimeoutMs: 1_000 });
        harness.pass(10);
        harness.settle("s", { acks: [range(1)], retries: [{ range: range(2), delayMs: 1, reason: "no" }] }, 1n);
        const failures = harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures : []));
        expect(failures.map(({ range: { first }, code }) => [first, code])).to.deep.equal([[2, "ALREADY_SETTLED"]]);
        expect(letters(harness)).to.deep.equal([[2, "EXPIRED", "", 1, 1, "client-s"]]);
        harness.ack("s", 3);
        harness.pass(1_000);
        expect(letters(harness).slice(1)).to.deep.equal([[4, "EXPIRED", "", 1, 2, ""]]);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
        expect(harness.machine.counts()).to.include({ committedOffset: 4, expired: 2 });
      });

      it("go in portions, and all of them in the end, when a great backlog expires at once", () => {
        const count = 3 * LIMITS.buryingExpiredMax;
        harness.buriesLate = true;
        for (let published = 0; published < count; published += 500) harness.publishInLanes(...Array.from({ length: 500 }, (_, i) => ["a", i % 7, 10] as const));
        harness.publishInLanes(["a", 1], ["a", 9]);
        harness.pass(10);
        harness.open("s", { flow: { maxMessages: 10_000, maxBytes: 10_000_000, paused: false } });
        let most = 0;
        while (harness.machine.census().burying.length > 0) {
          most = Math.max(most, harness.machine.census().burying.length);
          harness.finishBurying();
        }
        expect(most).to.equal(LIMITS.buryingExpiredMax);
        expect(harness.deadLetters.length).to.equal(count);
        expect(harness.offsetsReceived()).to.have.members([count + 1, count + 2]);
        harness.ack("s", count + 1, count + 2);
        expect(harness.machine.counts()).to.include({ committedOffset: count + 2, expired: count });
      });

      it("are settled for an ephemeral subscriber, which has no dead letters", () => {
        harness = new SubscriptionHarness({ ...settings, ephemeral: true });
        harness.publishInLanes(["a", 1, 10], ["a", 1]);
        harness.pass(10);
        harness.open("s");
        expect(harness.offsetsReceived()).to.deep.equal([2]);
        expect(harness.effects.filter(({ type }) => type === "bury")).to.deep.equal([]);
        expect(harness.machine.counts().expired).to.equal(1);
      });

      it("are settled from when the rule says so", () => {
        harness.publishInLanes(["a", 1, 10]);
        harness.changeRules({ onExpiry: "SETTLE" });
        harness.pass(10);
        harness.leadOver();
        expect(harness.deadLetters).to.deep.equal([]);
        expect(harness.machine.counts()).to.include({ committedOffset: 1, expired: 1 });
      });

      it("are not behind for a client that keeps its own position", () => {
        harness.publishInLanes(["a", 1, 10], ["a", 1]);
        harness.pass(10);
        harness.open("s");
        expect(harness.machine.counts().committedOffset).to.equal(1);
        expect(harness.machine.settledThrough).to.equal(0);
      });
    });
  }

  it("stand in the way of their lane until they are there, as does what expires behind them, and of no other", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.buriesLate = true;
    harness.publishInLanes(["a", 1, 10], ["a", 1, 10], ["a", 1], ["a", 2]);
    harness.pass(10);
    harness.open("s");
    expect(harness.machine.census().burying).to.deep.equal([1, 2]);
    expect(harness.offsetsReceived()).to.deep.equal([4]);
    harness.ack("s", 4);
    expect(harness.machine.counts().committedOffset).to.equal(0);
    harness.finishBurying();
    expect(harness.offsetsReceived()).to.deep.equal([4, 3]);
  });

  it("that are purged on their way free their lane at once", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.buriesLate = true;
    harness.publishInLanes(["a", 1, 10], ["a", 1, 10], ["a", 1]);
    harness.pass(10);
    harness.open("s");
    harness.purge(2);
    expect(harness.offsetsReceived()).to.deep.equal([3]);
    harness.finishBurying();
    expect(harness.deadLetters.map(({ offset }) => offset)).to.deep.equal([1, 2]);
    harness.ack("s", 3);
    expect(harness.machine.counts()).to.include({ committedOffset: 3, unsettled: 0 });
  });
});
