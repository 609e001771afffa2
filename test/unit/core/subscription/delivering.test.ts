import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { offset } from "../../../../src/core/units.js";
import { chunkOf } from "../../../support/chunk-builder.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const window = (maxMessages: number, maxBytes = 1_000_000, paused = false) => ({ maxMessages, maxBytes, paused });

function notices(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "notice" ? [effect.reason] : []));
}

describe("delivering", () => {
  it("hands out what is durable, in offset order, in batches of the size asked for", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(5);
    harness.open("a", { maxBatchMessages: 2 });
    expect(harness.received.map((batch) => batch.offsets)).to.deep.equal([[1, 2], [3, 4], [5]]);
    expect(harness.received.map((batch) => batch.batch.batchId)).to.deep.equal([1, 2, 3]);
  });

  it("joins small chunks into one batch", () => {
    const harness = new SubscriptionHarness();
    for (let i = 0; i < 4; i++) harness.publish("made");
    harness.open("a");
    expect(harness.received.map((batch) => batch.offsets)).to.deep.equal([[1, 2, 3, 4]]);
  });

  it("delivers only what the filter takes, and the floor passes the rest", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, filter: EventFilter.parse(["a"]) });
    harness.open("s");
    harness.publish("a", "b", "a", "b", "b");
    expect(harness.offsetsReceived()).to.deep.equal([1, 3]);
    harness.ack("s", 1, 3);
    expect(harness.machine.counts().committedOffset).to.equal(5);
  });

  it("advances without sessions over headers that hold nothing for it, and stops before what it takes", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, filter: EventFilter.parse(["a"]) });
    harness.step({ type: "head_advanced", head: offset(8) });
    const headerOnly = (first: number, events: string[]) => ({ ...chunkOf(first, events), body: undefined });
    harness.step({ type: "chunks_loaded", chunks: [headerOnly(1, ["b", "b"]), headerOnly(3, ["b", "a", "b"]), headerOnly(6, ["b", "b", "b"])] });
    expect(harness.machine.counts()).to.include({ committedOffset: 3, next: 4, unsettled: 0 });
  });

  it("shares messages among sessions, each to one of them", () => {
    const harness = new SubscriptionHarness();
    harness.open("a", { maxBatchMessages: 1 });
    harness.open("b", { maxBatchMessages: 1 });
    harness.publishMany(6);
    expect(harness.offsetsReceived("a")).to.deep.equal([1, 3, 5]);
    expect(harness.offsetsReceived("b")).to.deep.equal([2, 4, 6]);
  });

  describe("flow", () => {
    it("never holds more messages than the window", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(10);
      harness.open("a", { flow: window(3) });
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
      expect(harness.machine.explaining.waitingFor("a")).to.equal("FLOW");
      harness.ack("a", 2);
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
    });

    it("crosses the byte window by one message at most", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(10);
      harness.open("a", { flow: window(1_000, 25) });
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
    });

    it("always lets one message pass", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(2);
      harness.open("a", { flow: window(1, 1) });
      expect(harness.offsetsReceived()).to.deep.equal([1]);
    });

    it("stops while paused and goes on after", () => {
      const harness = new SubscriptionHarness();
      harness.open("a", { flow: window(10, 1_000, true) });
      harness.publishMany(2);
      expect(harness.received).to.deep.equal([]);
      expect(harness.machine.explaining.waitingFor("a")).to.equal("PAUSED");
      harness.step({ type: "flow_changed", session: "a", flow: window(10, 1_000) });
      expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    });

    it("stops while the transport is full", () => {
      const harness = new SubscriptionHarness();
      harness.open("a");
      harness.step({ type: "transport_changed", session: "a", ready: false });
      harness.publishMany(1);
      expect(harness.received).to.deep.equal([]);
      harness.step({ type: "transport_changed", session: "a", ready: true });
      expect(harness.offsetsReceived()).to.deep.equal([1]);
    });

    it("stops new messages at the unsettled limit, which waiting retries count in", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, maxUnsettled: 10, maxAttempts: 100 });
      harness.publishMany(100);
      harness.open("a", { maxBatchMessages: 1 });
      for (let turn = 0; turn < 50; turn++) {
        for (const batch of harness.received.slice(-20)) {
          harness.settle("a", { retries: batch.offsets.map((at) => ({ range: range(at), delayMs: 3_600_000, reason: "later" })) });
        }
      }
      expect(harness.machine.counts().waitingRetry).to.be.within(5, 10);
      expect(harness.machine.explaining.waitingFor("a")).to.equal("UNSETTLED_LIMIT");
    });
  });

  describe("retries", () => {
    it("come again after the delay with attempt, cause and reason", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(1);
      harness.open("a");
      harness.settle("a", { retries: [{ range: range(1), delayMs: 500, reason: "database down" }] });
      expect(harness.machine.explaining.waitingFor("a")).to.equal("RETRY_DELAY");
      harness.pass(499);
      expect(harness.received).to.have.length(1);
      harness.pass(1);
      expect(harness.received[1]?.batch).to.include({ attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "database down" });
    });

    it("back off by themselves: longer each time, never past the cap", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, maxAttempts: 100, backoffMaxMs: 1_000 });
      harness.publishMany(1);
      harness.open("a");
      const delays: number[] = [];
      for (let attempt = 1; attempt <= 6; attempt++) {
        harness.settle("a", { retries: [{ range: range(1), delayMs: undefined, reason: "" }] });
        const due = harness.machine.nextWake() ?? 0;
        delays.push(due - harness.now.monotonicMs);
        harness.pass(delays[delays.length - 1] ?? 0);
        expect(harness.received).to.have.length(attempt + 1);
      }
      for (const [i, base] of [100, 200, 400, 800, 1_000, 1_000].entries()) expect(delays[i]).to.be.within(base * 0.8, base * 1.2);
    });

    it("past max_attempts go to the dead letters", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, maxAttempts: 2 });
      harness.publishMany(1);
      harness.open("a");
      for (let i = 0; i < 2; i++) {
        harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "no luck" }] });
      }
      expect(harness.deadLetters).to.deep.equal([
        { offset: 1, reason: "MAX_ATTEMPTS", detail: "no luck", attempts: 2, deliveries: 1, holderSession: "a", holderClient: "client-a" },
      ]);
      expect(harness.machine.counts().committedOffset).to.equal(1);
      expect(notices(harness)).to.include("DEAD_LETTERED");
    });

    it("keep their due time and attempt across a restart", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(1);
      harness.open("a");
      harness.settle("a", { retries: [{ range: range(1), delayMs: 5_000, reason: "later" }] });
      harness.pass(2_000);
      harness.crash();
      harness.open("b");
      harness.pass(2_999);
      expect(harness.offsetsReceived("b")).to.deep.equal([]);
      harness.pass(1);
      expect(harness.received[1]?.batch).to.include({ attempt: 2, cause: "RETRY", lastReason: "later" });
    });

    it("go out only when the new attempt is durable", () => {
      const harness = new SubscriptionHarness(undefined, false);
      harness.publishMany(1);
      harness.open("a");
      harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "" }] });
      expect(harness.received).to.have.length(1);
      harness.finishSaving();
      expect(harness.received).to.have.length(2);
    });
  });

  describe("leases", () => {
    it("run out after the ack timeout, and the message comes again with its delivery count raised", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(2);
      harness.open("a", { ackTimeoutMs: 1_000 });
      harness.ack("a", 1);
      harness.pass(999);
      expect(harness.received).to.have.length(1);
      harness.pass(1);
      expect(harness.received[1]).to.deep.include({ offsets: [2] });
      expect(harness.received[1]?.batch).to.include({ attempt: 1, deliveryCount: 2, cause: "TIMEOUT" });
    });

    it("are prolonged by extend and extend_all, up to 12 hours in all", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(2);
      harness.open("a", { ackTimeoutMs: 1_000 });
      harness.pass(900);
      harness.settle("a", { extendAllMs: 1_000 });
      harness.pass(999);
      expect(harness.received).to.have.length(1);
      const twelveHours = 12 * 3_600_000;
      harness.settle("a", { extends: [{ range: range(1), leaseMs: twelveHours }] });
      harness.pass(1);
      expect(harness.received[1]).to.deep.include({ offsets: [2] });
      harness.ack("a", 2);
      harness.pass(twelveHours - 1_900 - 1);
      expect(harness.received).to.have.length(2);
      harness.pass(1);
      expect(harness.received).to.have.length(3);
    });

    it("are free at once when the session is lost, and count", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(1);
      harness.open("a");
      harness.open("b");
      harness.end("a");
      expect(harness.received[1]?.session).to.equal("b");
      expect(harness.received[1]?.batch).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
    });

    it("are given back uncounted by a graceful end and by releases", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(1);
      harness.open("a");
      harness.open("b");
      harness.end("a", true);
      expect(harness.received[1]?.batch).to.include({ attempt: 1, deliveryCount: 1, cause: "RELEASED" });
      harness.settle("b", { releases: [range(1)] });
      expect(harness.received[2]?.batch).to.include({ attempt: 1, deliveryCount: 1, cause: "RELEASED" });
    });

    it("are forgotten by a crash, which counts in neither number", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(3);
      harness.open("a");
      harness.ack("a", 2);
      harness.crash();
      harness.open("b");
      expect(harness.offsetsReceived("b")).to.deep.equal([1, 3]);
      expect(harness.received[1]?.batch).to.include({ attempt: 1, deliveryCount: 1, cause: "NEW" });
    });
  });

  describe("suspects", () => {
    it("travel alone from the third hand-out on", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(3);
      harness.open("a", { maxBatchMessages: 1 });
      harness.ack("a", 2, 3);
      harness.end("a");
      harness.open("b", { maxBatchMessages: 1 });
      harness.end("b");
      harness.publishMany(1);
      harness.open("c", { maxBatchMessages: 1 });
      expect(harness.received.filter((batch) => batch.session === "c").map((batch) => [batch.offsets, batch.batch.deliveryCount])).to.deep.equal([[[1], 3]]);
      harness.ack("c", 1);
      expect(harness.offsetsReceived("c")).to.deep.equal([1, 4]);
    });

    it("do not starve behind a busy session: it takes nothing new until the suspect had its turn", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(1);
      harness.open("a");
      harness.end("a");
      harness.open("b", { flow: window(1) });
      harness.open("busy", { maxBatchMessages: 1 });
      harness.publishMany(1);
      harness.end("b");
      harness.publishMany(1);
      expect(harness.offsetsReceived("busy")).to.deep.equal([2]);
      harness.ack("busy", 2);
      expect(harness.offsetsReceived("busy")).to.deep.equal([2, 1]);
      harness.ack("busy", 1);
      expect(harness.offsetsReceived("busy")).to.deep.equal([2, 1, 3]);
    });

    it("are narrowed down over 20 crashes of a consumer with 10,000 in flight: only the killer is dead-lettered", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, maxUnsettled: 20_000 });
      for (let i = 0; i < 10; i++) harness.publishMany(1_000);
      const poison = 7_777;
      let seen = 0;
      let crashes = 0;
      for (let turn = 0; turn < 200 && harness.deadLetters.length === 0; turn++) {
        const id = `s${turn}`;
        harness.open(id, { flow: window(10_000, 1_000_000_000) });
        const settled = new Set<number>();
        for (;;) {
          const batch = harness.received[seen];
          if (batch === undefined) break;
          seen++;
          // The first two times everything is in flight when it dies; afterwards it works through what it gets.
          if (crashes < 2) continue;
          if (batch.offsets.includes(poison)) break;
          for (const at of batch.offsets) settled.add(at);
          harness.settle(id, { acks: [range(batch.offsets[0] ?? 0, batch.offsets[batch.offsets.length - 1], batch.batch.batchId)] });
        }
        harness.end(id);
        seen = harness.received.length;
        crashes++;
      }
      expect(harness.deadLetters.map(({ offset: at, reason }) => [at, reason])).to.deep.equal([[poison, "MAX_DELIVERIES"]]);
      expect(crashes).to.equal(20);
    });
  });

  describe("AUTO", () => {
    it("settles what the transport took, without leases", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(2);
      harness.open("a", { ackMode: "AUTO" });
      expect(harness.received[0]?.batch.leaseMs).to.equal(0);
      expect(harness.machine.counts().committedOffset).to.equal(0);
      harness.step({ type: "batch_taken", session: "a", batchId: 1 });
      expect(harness.machine.counts().committedOffset).to.equal(2);
    });

    it("is at most once: what was on its way when the stream ended does not come again", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(2);
      harness.open("a", { ackMode: "AUTO" });
      harness.end("a");
      harness.open("b");
      expect(harness.offsetsReceived("b")).to.deep.equal([]);
    });

    it("is bounded by the transport, not by the window", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(20);
      harness.open("a", { ackMode: "AUTO", flow: window(1, 1) });
      expect(harness.offsetsReceived()).to.have.length(20);
    });

    it("stops at the head that was there at open", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(3);
      harness.open("a", { ackMode: "AUTO", stop: { kind: "at_head" } });
      harness.publishMany(1);
      harness.step({ type: "batch_taken", session: "a", batchId: 1 });
      harness.step({ type: "batch_taken", session: "a", batchId: 2 });
      expect(harness.effects.some((effect) => effect.type === "finish_session")).to.equal(true);
    });

    it("stops at once at the head of an empty queue", () => {
      const harness = new SubscriptionHarness();
      harness.open("a", { ackMode: "AUTO", stop: { kind: "at_head" } });
      expect(harness.effects.some((effect) => effect.type === "finish_session")).to.equal(true);
    });

    it("stops after as many messages as it was asked for, exactly", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(10);
      harness.open("a", { ackMode: "AUTO", maxBatchMessages: 2, stop: { kind: "after_messages", count: 3 } });
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3]);
      harness.step({ type: "batch_taken", session: "a", batchId: 1 });
      harness.step({ type: "batch_taken", session: "a", batchId: 2 });
      expect(harness.effects.filter((effect) => effect.type === "finish_session")).to.have.length(1);
    });
  });

  it("drains: no more deliveries, settles taken, done when nothing is held", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(2);
    harness.open("a", { flow: window(1) });
    harness.step({ type: "drain_requested", session: "a" });
    const finished = () => harness.effects.some((effect) => effect.type === "finish_session");
    expect(finished()).to.equal(false);
    harness.settle("a", { acks: [range(1)] }, 1n);
    expect(finished()).to.equal(true);
    const order = harness.effects.map((effect) => effect.type).filter((type) => type === "confirm" || type === "finish_session");
    expect(order).to.deep.equal(["confirm", "finish_session"]);
    expect(harness.offsetsReceived()).to.deep.equal([1]);
  });

  it("ends a drained session only when its settles are durable, though it asked for no answer", () => {
    const harness = new SubscriptionHarness(undefined, false);
    harness.publishMany(1);
    harness.open("a");
    harness.ack("a", 1);
    harness.step({ type: "drain_requested", session: "a" });
    const finished = () => harness.effects.some((effect) => effect.type === "finish_session");
    expect(finished()).to.equal(false);
    while (harness.isSaving) harness.finishSaving();
    expect(finished()).to.equal(true);
  });

  it("says once that a session has caught up", () => {
    const harness = new SubscriptionHarness();
    harness.publishMany(3);
    harness.open("a", { flow: window(2) });
    expect(notices(harness)).to.deep.equal([]);
    harness.ack("a", 1, 2);
    expect(notices(harness)).to.deep.equal(["CAUGHT_UP"]);
    harness.publishMany(1);
    expect(notices(harness)).to.deep.equal(["CAUGHT_UP"]);
  });

  it("rejects to the dead letters in the settle's own commit", () => {
    const harness = new SubscriptionHarness(undefined, false);
    harness.publishMany(1);
    harness.open("a");
    harness.settle("a", { rejects: [{ range: range(1), reason: "not json" }] }, 3n);
    expect(harness.deadLetters).to.deep.equal([]);
    while (harness.isSaving) harness.finishSaving();
    expect(harness.deadLetters).to.deep.include.members([
      { offset: offset(1), reason: "REJECTED", detail: "not json", attempts: 1, deliveries: 1, holderSession: "a", holderClient: "client-a" },
    ]);
    expect(harness.effects.some((effect) => effect.type === "confirm" && effect.requestIds.includes(3n))).to.equal(true);
    harness.crash();
    harness.open("b");
    expect(harness.offsetsReceived("b")).to.deep.equal([]);
  });

  it("settles rejects of an ephemeral subscriber without a dead letter, and stores nothing", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, name: "", ephemeral: true });
    harness.publishMany(2);
    harness.open("a");
    harness.settle("a", { rejects: [{ range: range(1), reason: "" }], retries: [{ range: range(2), delayMs: 0, reason: "" }] }, 1n);
    expect(harness.effects.filter((effect) => effect.type === "save_cursor" || effect.type === "bury")).to.deep.equal([]);
    expect(harness.received[1]).to.deep.include({ offsets: [2] });
    expect(harness.effects.some((effect) => effect.type === "confirm" && effect.requestIds.includes(1n))).to.equal(true);
  });

  describe("what cannot be read any more", () => {
    const gaps = (harness: SubscriptionHarness) => harness.effects.flatMap((effect) => (effect.type === "gap" ? [[effect.session, effect.first, effect.last, effect.matchingCount]] : []));

    it("is passed over with a gap when retention was faster", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, name: "", ephemeral: true });
      harness.open("a");
      harness.machine.step({ type: "head_advanced", head: offset(10) }, harness.now);
      harness.step({ type: "log_truncated", first: offset(6) });
      expect(gaps(harness)).to.deep.equal([["a", 1, 5, 5]]);
      expect(harness.machine.counts().next).to.equal(6);
    });

    it("is passed over with a gap when a chunk is corrupt, and the rest is served", () => {
      const harness = new SubscriptionHarness();
      harness.open("a");
      harness.machine.step({ type: "head_advanced", head: offset(4) }, harness.now);
      harness.machine.step({ type: "chunk_corrupt", from: offset(1), through: offset(3) }, harness.now);
      const effects = harness.machine.step({ type: "chunks_loaded", chunks: [chunkOf(4, ["made"])] }, harness.now);
      expect(effects.some((effect) => effect.type === "deliver" && effect.parts[0]?.chunk.first === 4)).to.equal(true);
    });

    it("is not asked for for ever when the log ends before the head that was announced", () => {
      const harness = new SubscriptionHarness();
      harness.open("a");
      harness.step({ type: "head_advanced", head: offset(3) });
      expect(harness.effects.filter((effect) => effect.type === "load")).to.have.length(1);
      harness.publishMany(4);
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
    });

    it("is told to the next session when nobody was there", () => {
      const harness = new SubscriptionHarness();
      harness.publishMany(4);
      harness.step({ type: "log_truncated", first: offset(3) });
      harness.open("a");
      expect(gaps(harness)).to.deep.equal([["a", 1, 2, 2]]);
      expect(harness.offsetsReceived()).to.deep.equal([3, 4]);
    });
  });

  it("skips messages that are addressed to another subscriber", () => {
    const harness = new SubscriptionHarness();
    harness.open("a");
    harness.machine.step({ type: "head_advanced", head: offset(3) }, harness.now);
    const chunk = { ...chunkOf(1, ["made", "made", "made"]), addressee: ["", "other", "worker"] };
    const effects = harness.machine.step({ type: "chunks_loaded", chunks: [chunk] }, harness.now);
    const parts = effects.flatMap((effect) => (effect.type === "deliver" ? effect.parts.map((part) => [part.firstIndex, part.count]) : []));
    expect(parts).to.deep.equal([[0, 1], [2, 1]]);
  });
});
