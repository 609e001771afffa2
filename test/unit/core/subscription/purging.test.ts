import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { offset } from "../../../../src/core/units.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const IN_LANES = { ...SETTINGS, ordered: true };

const gaps = (harness: SubscriptionHarness) => harness.effects.flatMap((effect) => (effect.type === "gap" ? [[effect.session, effect.first, effect.last, effect.matchingCount]] : []));
const failures = (harness: SubscriptionHarness) => harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures.map(({ range: { first, last }, code }) => [first, last, code]) : []));

/** Messages of one lane each, all of the same event. */
function publishLanes(harness: SubscriptionHarness, ...lanes: number[]): void {
  harness.publishInLanes(...lanes.map((lane) => ["made", lane] as const));
}

describe("what a purge does to a subscription", () => {
  for (const settings of [SETTINGS, IN_LANES]) {
    describe(settings.ordered ? "in lanes" : "without order", () => {
      it("counts as done what is in flight: acks are no failure, other verdicts come too late, windows are free", () => {
        const harness = new SubscriptionHarness(settings);
        publishLanes(harness, 1, 2, 3, 4);
        harness.open("a", { flow: { maxMessages: 3, maxBytes: 1_000_000, paused: false } });
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
        harness.purge(3);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
        harness.settle("a", { acks: [range(1)], retries: [{ range: range(2), delayMs: undefined, reason: "" }], rejects: [{ range: range(3), reason: "" }] }, 7n);
        expect(failures(harness)).to.deep.equal([[2, 3, "ALREADY_SETTLED"]]);
        expect(harness.deadLetters).to.deep.equal([]);
        expect(gaps(harness), "what is in hand is not lost").to.deep.equal([]);
        harness.ack("a", 4);
        expect(harness.machine.counts()).to.deep.include({ committedOffset: 4, inFlight: 0, unsettled: 0 });
      });

      it("lets go of what came back, waits for its retry, or was never looked at, and says so once", () => {
        const harness = new SubscriptionHarness(settings);
        publishLanes(harness, 1, 2, 3, 4, 5);
        harness.open("a", { flow: { maxMessages: 3, maxBytes: 1_000_000, paused: false } });
        harness.settle("a", { retries: [{ range: range(1), delayMs: 60_000, reason: "busy" }] });
        harness.step({ type: "flow_changed", session: "a", flow: { maxMessages: 1, maxBytes: 1_000_000, paused: true } });
        harness.settle("a", { releases: [range(2)] });
        harness.purge(5);
        expect(gaps(harness).map(([session, first, last]) => [session, first, last])).to.deep.equal([["a", 1, 5]]);
        // In flight are 3 and 4, which are not lost.
        expect(gaps(harness)[0]?.[3]).to.equal(3);
        expect(harness.machine.counts()).to.deep.equal({ committedOffset: offset(5), next: offset(6), unsettled: 0, inFlight: 0, waitingRetry: 0, blockedLanes: 0, pause: undefined, dropped: 3, expired: 0 });
        harness.step({ type: "flow_changed", session: "a", flow: { maxMessages: 9, maxBytes: 1_000_000, paused: false } });
        harness.pass(120_000);
        harness.purge(5);
        expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
        expect(gaps(harness)).to.have.length(1);
        publishLanes(harness, 1);
        expect(harness.offsetsReceived().at(-1)).to.equal(6);
      });

      it("leaves alone what lies behind it", () => {
        const harness = new SubscriptionHarness(settings);
        publishLanes(harness, 1, 2, 1, 2, 1, 2);
        harness.purge(3);
        harness.open("a", { maxInFlightPerLane: 9 });
        expect(gaps(harness)).to.deep.equal([["a", 1, 3, 3]]);
        expect(harness.offsetsReceived()).to.deep.equal([4, 5, 6]);
      });

      it("tells the next session of it when there is none, of several purges at once", () => {
        const harness = new SubscriptionHarness(settings);
        publishLanes(harness, 1, 2, 3);
        harness.purge(1);
        harness.purge(3);
        harness.open("a");
        harness.open("b");
        expect(gaps(harness)).to.deep.equal([["a", 1, 3, 3]]);
      });

      it("is told to every session, and counts what the filter takes", () => {
        const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["order.*"]) });
        for (const id of ["a", "b"]) harness.open(id, { flow: { maxMessages: 1, maxBytes: 1_000, paused: true } });
        harness.publishInLanes(["order.paid", 1], ["noise", 1], ["order.sent", 2]);
        harness.purge(3);
        expect(gaps(harness)).to.deep.equal([["a", 1, 3, 2], ["b", 1, 3, 2]]);
      });

      it("is no loss for a subscriber whose filter takes nothing of it", () => {
        const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["order.*"]) });
        harness.open("a", { flow: { maxMessages: 1, maxBytes: 1_000, paused: true } });
        harness.publishInLanes(["noise", 1], ["noise", 2]);
        harness.purge(2);
        expect(gaps(harness)).to.deep.equal([]);
        expect(harness.machine.counts().committedOffset).to.equal(2);
      });

      it("lets burials under way go on, and the log keeps what they copy until they are done", () => {
        const harness = new SubscriptionHarness(settings);
        harness.buriesLate = true;
        publishLanes(harness, 1, 2);
        harness.open("a");
        harness.settle("a", { rejects: [{ range: range(1), reason: "bad" }] }, 5n);
        harness.purge(2);
        expect(harness.machine.census().burying).to.deep.equal([1]);
        expect(harness.machine.counts().committedOffset).to.equal(0);
        harness.finishBurying();
        expect(harness.deadLetters.map((letter) => letter.offset)).to.deep.equal([1]);
        expect(harness.machine.counts().committedOffset).to.equal(2);
        expect(failures(harness)).to.deep.equal([]);
      });

      it("holds after a crash that came before the cursor was stored", () => {
        const harness = new SubscriptionHarness(settings, false);
        publishLanes(harness, 1, 2, 3, 1);
        harness.open("a", { flow: { maxMessages: 2, maxBytes: 1_000_000, paused: false } });
        harness.purge(3);
        harness.crash();
        harness.open("b");
        expect(harness.offsetsReceived("b")).to.deep.equal([4]);
        expect(gaps(harness).filter(([session]) => session === "b")).to.deep.equal([["b", 1, 3, 3]]);
      });

      it("ends a session that was to stop at the head, once that is purged", () => {
        const harness = new SubscriptionHarness(settings);
        publishLanes(harness, 1, 1, 1);
        harness.open("a", { stop: { kind: "at_head" } });
        harness.purge(3);
        expect(harness.effects.filter(({ type }) => type === "finish_session")).to.have.length(1);
      });

      it("is no verdict: a client that keeps its own position is not behind for it", () => {
        const harness = new SubscriptionHarness(settings);
        publishLanes(harness, 1, 2, 3);
        harness.open("a", { sharing: "EXCLUSIVE" });
        harness.ack("a", 1);
        harness.purge(3);
        expect(harness.machine.settledThrough).to.equal(1);
      });

      it("does not take for lost what a client had finished", () => {
        const harness = new SubscriptionHarness(settings);
        harness.publishInLanes(["made", 1], ["made", 2], ["made", 3], ["made", 4]);
        harness.open("a", { flow: { maxMessages: 1, maxBytes: 1_000, paused: true } }, { done: [{ first: offset(2), last: offset(3) }] });
        harness.purge(4);
        expect(gaps(harness)).to.deep.equal([["a", 1, 4, 2]]);
      });

      it("settles what an AUTO session has in its transport, which may still say that it took it", () => {
        const harness = new SubscriptionHarness(settings);
        harness.open("a", { ackMode: "AUTO" });
        publishLanes(harness, 1, 2);
        harness.purge(2);
        harness.step({ type: "batch_taken", session: "a", batchId: 1 });
        expect(harness.machine.counts()).to.deep.include({ committedOffset: 2, inFlight: 0 });
      });
    });
  }

  describe("to lanes", () => {
    it("moves them on: what was behind goes out as soon as the one before is purged", () => {
      const harness = new SubscriptionHarness(IN_LANES);
      publishLanes(harness, 1, 1, 2, 2, 1);
      harness.open("a");
      expect(harness.offsetsReceived()).to.deep.equal([1, 3]);
      harness.purge(1);
      expect(harness.offsetsReceived()).to.deep.equal([1, 3, 2]);
      harness.ack("a", 2);
      expect(harness.offsetsReceived()).to.deep.equal([1, 3, 2, 5]);
    });

    it("begins a lane anew that was purged while it could have gone on", () => {
      const harness = new SubscriptionHarness(IN_LANES);
      publishLanes(harness, 1, 1);
      publishLanes(harness, 1);
      harness.open("a", { flow: { maxMessages: 1, maxBytes: 1_000_000, paused: false }, maxInFlightPerLane: 2 });
      harness.purge(2);
      expect(harness.offsetsReceived()).to.deep.equal([1, 3]);
      harness.pass(1);
      expect(harness.machine.census().lanes.map(({ handedOut }) => handedOut)).to.deep.equal([[3]]);
    });

    it("resolves acks that wait behind what is purged", () => {
      const harness = new SubscriptionHarness(IN_LANES);
      publishLanes(harness, 1, 1, 1);
      harness.open("a", { maxInFlightPerLane: 3 });
      harness.settle("a", { acks: [range(2)] }, 1n);
      harness.settle("a", { acks: [range(3)] }, 2n);
      expect(harness.effects.filter(({ type }) => type === "confirm")).to.deep.equal([]);
      harness.purge(1);
      expect(harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.requestIds : []))).to.deep.equal([1n, 2n]);
      expect(harness.machine.counts().committedOffset).to.equal(3);
    });

    it("brings nothing back that was behind a burial when it was purged, whatever becomes of its session", () => {
      const harness = new SubscriptionHarness(IN_LANES);
      harness.buriesLate = true;
      publishLanes(harness, 1, 1, 1, 1);
      harness.open("a", { maxInFlightPerLane: 4 });
      harness.settle("a", { rejects: [{ range: range(1), reason: "bad" }, { range: range(3), reason: "bad" }] }, 1n);
      harness.purge(3);
      harness.end("a");
      harness.finishBurying();
      harness.open("b");
      expect(harness.offsetsReceived("b")).to.deep.equal([4]);
      expect(harness.deadLetters.map((letter) => letter.offset)).to.deep.equal([1, 3]);
    });

    it("keeps a lane whose corrupt messages lie behind its next ones", () => {
      const harness = new SubscriptionHarness(IN_LANES, true, 1);
      publishLanes(harness, 1, 1);
      publishLanes(harness, 2, 1);
      publishLanes(harness, 1);
      harness.open("a");
      expect(harness.offsetsReceived()).to.deep.equal([1, 3]);
      harness.step({ type: "chunk_corrupt", from: offset(3), through: offset(4) });
      harness.ack("a", 1);
      expect(harness.offsetsReceived()).to.deep.equal([1, 3, 2]);
    });
  });
});
