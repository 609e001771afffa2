import { expect } from "chai";
import { TurnBudget } from "../../../../src/core/subscription/turn-budget.js";
import { SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

/** A subscription whose turns come when the test says so, and whose windows are wide. */
function build(turns: TurnBudget, ordered = false): SubscriptionHarness {
  const harness = new SubscriptionHarness({ ...SETTINGS, ordered, maxUnsettled: 100_000 }, true, 1, turns);
  harness.turnsComeLate = true;
  return harness;
}

/** Each message in a lane of its own. */
function publish(harness: SubscriptionHarness, count: number): void {
  for (const through = harness.head + count; harness.head < through; ) {
    const { head } = harness;
    harness.publishInLanes(...Array.from({ length: 50 }, (_, i) => ["made", head + i] as const));
  }
}

describe("a turn of the event loop", () => {
  for (const ordered of [false, true]) {
    describe(ordered ? "of an ordered queue" : "of a queue without order", () => {
      it("takes half of the budget out of one subscription, and the next turns the rest, in order", () => {
        const harness = build(new TurnBudget(200, Infinity), ordered);
        publish(harness, 400);
        harness.open("a", { maxBatchMessages: 50 });
        const counts: number[] = [];
        for (let turn = 0; turn < 4; turn++) {
          counts.push(harness.offsetsReceived().length);
          harness.nextTurn();
        }
        expect(counts).to.deep.equal([100, 200, 300, 400]);
        expect(harness.offsetsReceived()).to.deep.equal(Array.from({ length: 400 }, (_, i) => i + 1));
      });

      it("is not asked for when nothing is left to hand out, and not twice", () => {
        const harness = build(new TurnBudget(200, Infinity), ordered);
        publish(harness, 100);
        harness.open("a", { maxBatchMessages: 50 });
        const asked = (): number => harness.effects.filter(({ type }) => type === "take_turn").length;
        expect(asked(), "all went out in the turn at hand").to.equal(0);
        publish(harness, 50);
        publish(harness, 50);
        expect(asked(), "what came later has to wait").to.equal(1);
        harness.nextTurn();
        harness.nextTurn();
        expect(harness.offsetsReceived()).to.have.length(200);
        expect(asked()).to.equal(1);
      });

      it("leaves room for a small subscription beside a large one", () => {
        const turns = new TurnBudget(200, Infinity);
        const [large, small] = [build(turns, ordered), build(turns, ordered)];
        publish(large, 1_000);
        large.open("a", { maxBatchMessages: 50 });
        publish(small, 50);
        small.open("b", { maxBatchMessages: 50 });
        expect(large.offsetsReceived()).to.have.length(100);
        expect(small.offsetsReceived()).to.have.length(50);
      });

      it("ends by the bytes of messages too, never within a batch", () => {
        const harness = build(new TurnBudget(Infinity, 600), ordered);
        publish(harness, 100);
        harness.open("a", { maxBatchMessages: 20 });
        expect(harness.received.map(({ offsets }) => offsets.length), "messages of 10 bytes").to.deep.equal(ordered ? [20, 10] : [20, 20]);
        harness.nextTurn();
        expect(harness.offsetsReceived()).to.have.length(ordered ? 60 : 70);
      });

      it("does not end a session that still has messages to get before its stop", () => {
        const harness = build(new TurnBudget(100, Infinity), ordered);
        publish(harness, 200);
        harness.open("a", { maxBatchMessages: 50, stop: { kind: "at_head" } });
        expect(harness.machine.explaining.waitingFor("a"), "more is on its way").to.equal(undefined);
        while (harness.offsetsReceived().length < 200) {
          harness.ack("a", 1, 200);
          harness.nextTurn();
        }
        harness.ack("a", 1, 200);
        expect(harness.effects.filter(({ type }) => type === "finish_session")).to.have.length(1);
        expect(harness.machine.counts()).to.include({ committedOffset: 200, unsettled: 0 });
      });
    });
  }

  it("that a settle brought about frees the window at once, and fills it when it comes", () => {
    const harness = build(new TurnBudget(40, Infinity));
    publish(harness, 200);
    harness.open("a", { maxBatchMessages: 20, flow: { maxMessages: 20, maxBytes: 1_000_000, paused: false } });
    expect(harness.machine.inFlight("a")).to.equal(20);
    harness.ack("a", 1, 20);
    expect(harness.machine.counts(), "settled in the turn at hand").to.include({ committedOffset: 20, inFlight: 0 });
    harness.nextTurn();
    expect(harness.machine.inFlight("a")).to.equal(20);
  });
});
