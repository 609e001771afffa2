import { expect } from "chai";
import { offset } from "../../../../src/core/units.js";
import { range, SubscriptionHarness } from "../../../support/subscription-harness.js";

describe("A hand-out that is withdrawn", () => {
  it("comes again as if for the first time, and what was before it stays", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(4);
    harness.open("a", { flow: { maxMessages: 4, maxBytes: 1_000_000, paused: false } });
    harness.step({ type: "flow_changed", session: "a", flow: { maxMessages: 4, maxBytes: 1_000_000, paused: true } });
    harness.step({ type: "hand_out_withdrawn", session: "a", batchId: 1, first: offset(3) });
    expect(harness.machine.inFlight("a")).to.equal(2);
    harness.open("b");
    expect(harness.received.filter(({ session }) => session === "b").map(({ batch, offsets }) => [offsets, batch.cause, batch.deliveryCount])).to.deep.equal([[[3, 4], "NEW", 1]]);
    harness.ack("a", 1, 4);
    expect(harness.machine.counts().inFlight).to.equal(2);
  });

  it("keeps the counts of a message that came again before", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(1);
    harness.open("a");
    harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "busy" }] });
    harness.step({ type: "flow_changed", session: "a", flow: { maxMessages: 4, maxBytes: 1_000_000, paused: true } });
    harness.step({ type: "hand_out_withdrawn", session: "a", batchId: 2, first: offset(1) });
    harness.open("b");
    expect(harness.received.at(-1)?.batch).to.include({ attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "busy" });
  });

  it("changes nothing about what was settled, or of a batch that is not there", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(2);
    harness.open("a");
    harness.ack("a", 1, 2);
    harness.step({ type: "hand_out_withdrawn", session: "a", batchId: 1, first: offset(1) });
    harness.step({ type: "hand_out_withdrawn", session: "a", batchId: 7, first: offset(1) });
    harness.step({ type: "hand_out_withdrawn", session: "gone", batchId: 1, first: offset(1) });
    expect(harness.machine.counts()).to.include({ unsettled: 0, inFlight: 0 });
    expect(harness.received).to.have.length(1);
  });
});
