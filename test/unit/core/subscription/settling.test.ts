import { expect } from "chai";
import { LIMITS } from "../../../../src/core/limits.js";
import type { SettleFailure } from "../../../../src/core/session.js";
import { offset } from "../../../../src/core/units.js";
import { range, SubscriptionHarness } from "../../../support/subscription-harness.js";

function failuresOf(harness: SubscriptionHarness): SettleFailure[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures : []));
}

function confirmedOf(harness: SubscriptionHarness): bigint[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.requestIds : []));
}

function withMessages(count: number, batch = 100): SubscriptionHarness {
  const harness = new SubscriptionHarness();
  harness.publishMany(count);
  harness.open("a", { maxBatchMessages: batch });
  return harness;
}

describe("settling", () => {
  it("moves the committed offset when everything up to it is acked", () => {
    const harness = withMessages(5);
    harness.ack("a", 2, 3);
    expect(harness.machine.counts().committedOffset).to.equal(0);
    harness.ack("a", 1);
    expect(harness.machine.counts().committedOffset).to.equal(3);
    harness.ack("a", 4, 5);
    expect(harness.machine.counts().committedOffset).to.equal(5);
  });

  it("answers a request only after the cursor is durable", () => {
    const harness = new SubscriptionHarness(undefined, false);
    harness.publishMany(2);
    harness.open("a");
    harness.settle("a", { acks: [range(1, 2)] }, 7n);
    expect(confirmedOf(harness)).to.deep.equal([]);
    expect(harness.machine.counts().committedOffset).to.equal(0);
    harness.finishSaving();
    expect(confirmedOf(harness)).to.deep.equal([7n]);
    expect(harness.machine.counts().committedOffset).to.equal(2);
  });

  it("coalesces the answers of one commit", () => {
    const harness = new SubscriptionHarness(undefined, false);
    harness.publishMany(4);
    harness.open("a");
    harness.settle("a", { acks: [range(1)] }, 1n);
    harness.settle("a", { acks: [range(2)] }, 2n);
    harness.settle("a", { acks: [range(3)] }, 3n);
    harness.finishSaving();
    harness.finishSaving();
    const confirms = harness.effects.filter((effect) => effect.type === "confirm");
    expect(confirms.map((confirm) => confirm.requestIds)).to.deep.equal([[1n], [2n, 3n]]);
  });

  it("acks everything received through a batch", () => {
    const harness = withMessages(10, 2);
    harness.settle("a", { ackThroughBatchId: 3 }, 1n);
    expect(harness.machine.counts().committedOffset).to.equal(6);
    expect(failuresOf(harness)).to.deep.equal([]);
  });

  it("lets the first verdict of a frame win", () => {
    const harness = withMessages(3);
    harness.settle("a", { acks: [range(1)], rejects: [{ range: range(1, 2), reason: "no" }] }, 1n);
    expect(harness.deadLetters.map((letter) => letter.offset)).to.deep.equal([2]);
    expect(failuresOf(harness)).to.deep.equal([{ requestId: 1n, range: range(1, 1, 1), code: "ALREADY_SETTLED" }]);
  });

  it("passes over what was filtered or never handed out, as long as it touches something", () => {
    const harness = withMessages(3);
    harness.settle("a", { acks: [range(1, 1_000_000)] }, 1n);
    expect(failuresOf(harness)).to.deep.equal([]);
    expect(harness.machine.counts().committedOffset).to.equal(3);
  });

  type Verdict = "ack" | "retry" | "reject" | "release" | "extend";
  const settlementOf = (verdict: Verdict) => ({
    acks: verdict === "ack" ? [range(1, 1, 1)] : [],
    retries: verdict === "retry" ? [{ range: range(1, 1, 1), delayMs: 60_000, reason: "" }] : [],
    rejects: verdict === "reject" ? [{ range: range(1, 1, 1), reason: "" }] : [],
    releases: verdict === "release" ? [range(1, 1, 1)] : [],
    extends: verdict === "extend" ? [{ range: range(1, 1, 1), leaseMs: 1_000 }] : [],
  });
  const table: [first: Verdict | "timeout" | "nothing", second: Verdict, answer: string][] = [
    ["nothing", "ack", "fine"],
    ["nothing", "extend", "fine"],
    ["ack", "ack", "fine"],
    ["ack", "retry", "ALREADY_SETTLED"],
    ["ack", "reject", "ALREADY_SETTLED"],
    ["ack", "release", "ALREADY_SETTLED"],
    ["ack", "extend", "ALREADY_SETTLED"],
    ["retry", "retry", "fine"],
    ["retry", "ack", "ALREADY_SETTLED"],
    ["reject", "reject", "fine"],
    ["reject", "ack", "ALREADY_SETTLED"],
    ["release", "release", "fine"],
    ["release", "ack", "LEASE_LOST"],
    ["timeout", "ack", "LEASE_LOST"],
    ["timeout", "extend", "LEASE_LOST"],
  ];
  for (const [first, second, answer] of table) {
    it(`answers ${second} after ${first} with: ${answer}`, () => {
      const harness = withMessages(1);
      if (first === "timeout") harness.pass(10_000);
      else if (first !== "nothing") harness.settle("a", settlementOf(first), 1n);
      harness.settle("a", settlementOf(second), 2n);
      expect(failuresOf(harness).map((failure) => failure.code)).to.deep.equal(answer === "fine" ? [] : [answer]);
      expect(confirmedOf(harness)).to.include(2n);
    });
  }

  for (const [what, settlement] of [
    ["an offset never handed out", { acks: [range(50)] }],
    ["a batch that was never sent", { acks: [range(1, 1, 99)] }],
    ["an offset outside the batch named", { acks: [range(2, 2, 1)] }],
    ["a cumulative ack of a batch that was never sent", { ackThroughBatchId: 99 }],
  ] as const) {
    it(`answers NOT_HELD for ${what}`, () => {
      const harness = withMessages(4, 1);
      harness.settle("a", settlement, 5n);
      expect(failuresOf(harness).map((failure) => [failure.requestId, failure.code])).to.deep.equal([[5n, "NOT_HELD"]]);
      expect(harness.machine.counts().unsettled).to.equal(4);
    });
  }

  it("names only the stretch that was lost", () => {
    const harness = withMessages(4);
    harness.settle("a", { extends: [{ range: range(1, 2), leaseMs: 30_000 }] });
    harness.pass(10_000);
    harness.settle("a", { acks: [range(1, 4, 1)] }, 9n);
    expect(failuresOf(harness)).to.deep.equal([{ requestId: 9n, range: range(3, 4, 1), code: "LEASE_LOST" }]);
    expect(harness.machine.counts().committedOffset).to.equal(2);
  });

  it("without a batch id means the hand-out that holds the message now", () => {
    const harness = withMessages(1);
    harness.pass(10_000);
    expect(harness.received.map((batch) => batch.batch.deliveryCount)).to.deep.equal([1, 2]);
    harness.settle("a", { acks: [range(1)] }, 1n);
    expect(failuresOf(harness)).to.deep.equal([]);
    expect(harness.machine.counts().committedOffset).to.equal(1);
  });

  it("fences a settle of an old batch, though the same session holds the message again", () => {
    const harness = withMessages(1);
    harness.pass(10_000);
    harness.settle("a", { acks: [range(1, 1, 1)] }, 1n);
    expect(failuresOf(harness).map((failure) => failure.code)).to.deep.equal(["LEASE_LOST"]);
    expect(harness.machine.counts().committedOffset).to.equal(0);
  });

  it("tells failures of a settle that carried no request id, under 0", () => {
    const harness = withMessages(1);
    harness.settle("a", { acks: [range(9)] });
    expect(failuresOf(harness).map((failure) => failure.requestId)).to.deep.equal([0n]);
    expect(confirmedOf(harness)).to.deep.equal([]);
  });

  it("takes an ack of a batch older than what it remembers as no failure, and other verdicts as lost", () => {
    const harness = new SubscriptionHarness();
    harness.open("a");
    for (let i = 1; i <= 1_100; i++) {
      harness.publish("made");
      harness.ack("a", i);
    }
    harness.settle("a", { acks: [range(1, 1, 1)] }, 1n);
    harness.settle("a", { rejects: [{ range: range(1, 1, 1), reason: "" }] }, 2n);
    expect(failuresOf(harness).map(({ requestId, code }) => [requestId, code])).to.deep.equal([[2n, "LEASE_LOST"]]);
  });

  it("remembers the last 1,024 batches to the edge: of the oldest of them it still tells what became of it", () => {
    const harness = new SubscriptionHarness();
    harness.open("a");
    const count = LIMITS.rememberedBatches + 10;
    for (let i = 1; i <= count; i++) {
      harness.publish("made");
      harness.ack("a", i);
    }
    const oldest = count - LIMITS.rememberedBatches + 1;
    harness.settle("a", { rejects: [{ range: range(oldest, oldest, oldest), reason: "" }] }, 1n);
    harness.settle("a", { rejects: [{ range: range(oldest - 1, oldest - 1, oldest - 1), reason: "" }] }, 2n);
    expect(failuresOf(harness).map(({ requestId, code }) => [requestId, code])).to.deep.equal([
      [1n, "ALREADY_SETTLED"],
      [2n, "LEASE_LOST"],
    ]);
  });

  it("forgets no batch that is held, however many come after it", () => {
    const harness = new SubscriptionHarness();
    harness.open("a");
    for (let i = 1; i <= LIMITS.rememberedBatches + 10; i++) {
      harness.publish("made");
      if (i > 1) harness.ack("a", i);
    }
    expect(harness.machine.counts().committedOffset).to.equal(0);
    harness.settle("a", { acks: [range(1, 1, 1)] }, 1n);
    expect(failuresOf(harness)).to.deep.equal([]);
    expect(harness.machine.counts().committedOffset).to.equal(LIMITS.rememberedBatches + 10);
  });

  it("never settles what another session holds", () => {
    const harness = new SubscriptionHarness();
    harness.open("a");
    harness.open("b");
    harness.publish("made");
    const [holder] = harness.received.map((batch) => batch.session);
    harness.settle(holder === "a" ? "b" : "a", { acks: [range(1)] }, 1n);
    expect(failuresOf(harness).map((failure) => failure.code)).to.deep.equal(["NOT_HELD"]);
    expect(harness.machine.counts().committedOffset).to.equal(offset(0));
  });
});
