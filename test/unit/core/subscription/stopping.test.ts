import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import type { SessionSettings } from "../../../../src/core/subscription/facts.js";
import { offset } from "../../../../src/core/units.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const AT_HEAD: Partial<SessionSettings> = { stop: { kind: "at_head" } };
const ORDERED = { ...SETTINGS, ordered: true };

function after(count: number, more: Partial<SessionSettings> = {}): Partial<SessionSettings> {
  return { stop: { kind: "after_messages", count }, ...more };
}

function window(messages: number): Partial<SessionSettings> {
  return { flow: { maxMessages: messages, maxBytes: 1_000_000, paused: false } };
}

/** The sessions that were ended with OK, in order. */
function finished(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "finish_session" ? [effect.session] : []));
}

describe("a session under EXPLICIT that stops", () => {
  for (const settings of [SETTINGS, ORDERED]) {
    describe(`at the head, ${settings.ordered ? "in lanes" : "without order"}`, () => {
      it("ends at once on an empty queue", () => {
        const harness = new SubscriptionHarness(settings);
        harness.open("a", AT_HEAD);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("ends at once where its filter takes nothing", () => {
        const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["paid"]) });
        harness.publishMany(3, "made");
        harness.open("a", AT_HEAD);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("ends when everything up to that head is settled, whatever was published since", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1], ["made", 2]);
        harness.open("a", { ...AT_HEAD, ...window(2) });
        harness.publishInLanes(["made", 3]);
        harness.ack("a", 2);
        expect(finished(harness)).to.deep.equal([]);
        // What comes with the room that an ack makes is the session's, too.
        harness.ack("a", 3);
        harness.ack("a", 1);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("takes nothing more once that head is reached, so that it ends on a busy queue", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1]);
        harness.open("a", AT_HEAD);
        harness.publishInLanes(["made", 2]);
        harness.ack("a", 1);
        expect(finished(harness)).to.deep.equal([]);
        harness.publishInLanes(["made", 3]);
        harness.ack("a", 2);
        expect(harness.offsetsReceived("a")).to.deep.equal([1, 2]);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("waits for what other sessions hold, and does not mind who settles it", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1], ["made", 2]);
        harness.open("a", window(1));
        harness.open("b", AT_HEAD);
        expect(harness.offsetsReceived("b")).to.deep.equal([2]);
        harness.ack("b", 2);
        expect(finished(harness)).to.deep.equal([]);
        harness.ack("a", 1);
        expect(finished(harness)).to.deep.equal(["b"]);
      });

      it("waits for a retry, and for a dead letter until its copy is durable", () => {
        const harness = new SubscriptionHarness({ ...settings, maxAttempts: 2 }, false);
        harness.publishInLanes(["made", 1]);
        harness.open("a", AT_HEAD);
        harness.settle("a", { retries: [{ range: range(1), delayMs: 1_000, reason: "" }] });
        harness.finishSaving();
        expect(finished(harness)).to.deep.equal([]);
        harness.pass(1_000);
        harness.settle("a", { retries: [{ range: range(1), delayMs: 1_000, reason: "" }] });
        while (finished(harness).length === 0 && harness.isSaving) harness.finishSaving();
        expect(harness.deadLetters.map(({ offset: at }) => at)).to.deep.equal([1]);
        expect(finished(harness)).to.deep.equal(["a"]);
      });
    });

    describe(`after some messages, ${settings.ordered ? "in lanes" : "without order"}`, () => {
      it("holds no more than are missing, and ends when so many were acked or rejected", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1], ["made", 2], ["made", 3], ["made", 4]);
        harness.open("a", after(3, window(2)));
        expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
        harness.ack("a", 1);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
        harness.settle("a", { rejects: [{ range: range(2), reason: "no" }] });
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
        expect(finished(harness)).to.deep.equal([]);
        harness.ack("a", 3);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("does not count what it gave back or wants again", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1], ["made", 2], ["made", 3]);
        harness.open("a", after(2));
        harness.settle("a", { releases: [range(1)], retries: [{ range: range(2), delayMs: 60_000, reason: "" }] });
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 1, 3]);
        harness.ack("a", 1);
        harness.ack("a", 3);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("does not count what timed out", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1]);
        harness.open("a", after(1, { ackTimeoutMs: 1_000 }));
        harness.pass(1_000);
        expect(finished(harness)).to.deep.equal([]);
        expect(harness.offsetsReceived()).to.deep.equal([1, 1]);
        harness.ack("a", 1);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("counts what became a dead letter for the last of its attempts", () => {
        const harness = new SubscriptionHarness({ ...settings, maxAttempts: 1 });
        harness.publishInLanes(["made", 1], ["made", 2]);
        harness.open("a", after(1));
        harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "" }] });
        expect(harness.offsetsReceived()).to.deep.equal([1]);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("counts what an ephemeral subscriber gave up", () => {
        const harness = new SubscriptionHarness({ ...settings, maxAttempts: 1, ephemeral: true });
        harness.publishInLanes(["made", 1], ["made", 2]);
        harness.open("a", after(1));
        harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "" }] });
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("counts its own, not what others settle", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1], ["made", 2], ["made", 3]);
        harness.open("a", after(1));
        harness.open("b", window(1));
        harness.ack("b", 2);
        expect(finished(harness)).to.deep.equal([]);
        harness.ack("a", 1);
        expect(finished(harness)).to.deep.equal(["a"]);
      });

      it("ends when what it settled is durable", () => {
        const harness = new SubscriptionHarness(settings, false);
        harness.publishInLanes(["made", 1]);
        harness.open("a", after(1));
        harness.ack("a", 1);
        expect(finished(harness)).to.deep.equal([]);
        harness.finishSaving();
        expect(finished(harness)).to.deep.equal(["a"]);
      });
    });
  }

  it("after some messages does not count an ack that waited in its lane and was recalled", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["made", 1], ["made", 1], ["made", 1]);
    harness.open("a", after(2, { maxInFlightPerLane: 2 }));
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    harness.ack("a", 2);
    harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "" }] });
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 1, 2]);
    harness.ack("a", 1, 2);
    expect(finished(harness)).to.deep.equal(["a"]);
    expect(harness.machine.counts().committedOffset).to.equal(2);
  });

  it("at the head while it stands by ends when the one that works has settled it", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(1);
    harness.open("a", { sharing: "EXCLUSIVE" });
    harness.open("b", { ...AT_HEAD, sharing: "EXCLUSIVE" });
    expect(finished(harness)).to.deep.equal([]);
    harness.ack("a", 1);
    expect(finished(harness)).to.deep.equal(["b"]);
  });

  it("at the head counts as reached what its client had done before", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(2);
    harness.open("a", { ...AT_HEAD, sharing: "EXCLUSIVE" }, { processedThrough: offset(2) });
    expect(finished(harness)).to.deep.equal(["a"]);
  });
});
