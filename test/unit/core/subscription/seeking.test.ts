import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { offset } from "../../../../src/core/units.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const ORDERED = { ...SETTINGS, ordered: true };
const window = (messages: number) => ({ flow: { maxMessages: messages, maxBytes: 1_000_000, paused: false } });

/** What a session gets from now on. */
function from(harness: SubscriptionHarness): () => readonly (readonly [cause: string, offsets: readonly number[]])[] {
  const seen = harness.received.length;
  return () => harness.received.slice(seen).map(({ batch, offsets }) => [batch.cause, offsets]);
}

function failures(harness: SubscriptionHarness): unknown[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures.map(({ code, range: { first, last } }) => [code, first, last]) : []));
}

function confirmed(harness: SubscriptionHarness): bigint[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.requestIds : []));
}

for (const settings of [SETTINGS, ORDERED]) {
  describe(`A subscription that is moved, ${settings.ordered ? "in lanes" : "without order"}`, () => {
    const four = (diskIsFast = true): SubscriptionHarness => {
      const harness = new SubscriptionHarness(settings, diskIsFast);
      harness.publishInLanes(["made", 1], ["made", 2], ["made", 1], ["made", 2]);
      return harness;
    };
    const all = { maxInFlightPerLane: 4 };

    it("goes back, and hands out again what it had settled, for the reason that it was moved", () => {
      const harness = four();
      harness.open("a", all);
      harness.ack("a", 1, 4);
      const later = from(harness);
      harness.seek(1);
      expect(later()).to.deep.equal([["SEEK", [2, 3, 4]]]);
      expect(harness.received.at(-1)?.batch).to.include({ attempt: 1, deliveryCount: 1, lastReason: "" });
      expect(harness.machine.counts()).to.include({ committedOffset: 1, unsettled: 3 });
    });

    it("hands out as new what it had never come to", () => {
      const harness = four();
      harness.open("a", { ...all, ...window(2) });
      harness.ack("a", 1, 2);
      harness.step({ type: "flow_changed", session: "a", flow: { maxMessages: 100, maxBytes: 1_000, paused: true } });
      harness.seek(0);
      harness.publishInLanes(["made", 3]);
      const later = from(harness);
      harness.step({ type: "flow_changed", session: "a", flow: { maxMessages: 100, maxBytes: 1_000, paused: false } });
      expect(later().flatMap(([cause, offsets]) => offsets.map((at) => [at, cause]))).to.deep.equal([[1, "SEEK"], [2, "SEEK"], [3, "SEEK"], [4, "SEEK"], [5, "NEW"]]);
    });

    it("goes ahead, and what lies before is done", () => {
      const harness = four();
      harness.open("a", { ...all, ...window(1) });
      const later = from(harness);
      harness.seek(3);
      expect(later()).to.deep.equal([["NEW", [4]]]);
      expect(harness.machine.counts()).to.include({ committedOffset: 3, unsettled: 1 });
      harness.ack("a", 4);
      expect(harness.machine.counts()).to.include({ committedOffset: 4, unsettled: 0 });
    });

    it("goes to its end, and on with what comes", () => {
      const harness = four();
      harness.open("a", { ...all, ...window(1) });
      const later = from(harness);
      harness.seek(4);
      harness.publishInLanes(["made", 1]);
      expect(later()).to.deep.equal([["NEW", [5]]]);
    });

    it("takes what is in flight from its sessions, tells them, and takes no verdict on it", () => {
      const harness = four();
      harness.open("a", all);
      harness.effects.length = 0;
      harness.seek(2);
      expect(harness.effects.flatMap((effect) => (effect.type === "recall" ? [[effect.session, effect.cause, effect.ranges]] : []))).to.deep.equal([["a", "SEEK", [range(1, 4, 1)]]]);
      expect(harness.effects.flatMap((effect) => (effect.type === "notice" ? [[effect.reason, effect.detail]] : []))).to.deep.equal([["POSITION_MOVED", "moved"]]);
      harness.settle("a", { acks: [range(1, 4, 1)] }, 7n);
      expect(failures(harness)).to.deep.equal([["LEASE_LOST", 1, 4]]);
      harness.settle("a", { acks: [range(3, 4)] }, 8n);
      expect(failures(harness)).to.have.length(1);
      expect(harness.machine.counts()).to.include({ committedOffset: 4, unsettled: 0, inFlight: 0 });
    });

    it("begins attempts and delivery counts anew, and waits for no retry", () => {
      const harness = four();
      harness.open("a", all);
      harness.settle("a", { retries: [{ range: range(1), delayMs: 60_000, reason: "busy" }] });
      harness.end("a");
      harness.open("b", all);
      harness.seek(0);
      expect(harness.machine.counts().waitingRetry).to.equal(0);
      expect(harness.received.at(-1)?.offsets).to.deep.equal([1, 2, 3, 4]);
      expect(harness.received.at(-1)?.batch).to.include({ attempt: 1, deliveryCount: 1, cause: "SEEK", lastReason: "" });
      harness.pass(120_000);
      expect(harness.machine.counts().unsettled).to.equal(4);
    });

    it("goes back to exactly where it was, runs and all", () => {
      const harness = four();
      harness.open("a", all);
      harness.ack("a", 2, 4);
      harness.ack("a", 1);
      harness.end("a");
      harness.seek(0);
      harness.seek(0, [{ first: 2, last: 2 }, { first: 4, last: 4 }]);
      harness.open("b", all);
      expect(harness.offsetsReceived("b")).to.deep.equal([1, 3]);
      harness.ack("b", 1, 3);
      expect(harness.machine.counts().committedOffset).to.equal(4);
    });

    it("takes the filter of now for everything beyond", () => {
      const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["made"]) });
      harness.publishInLanes(["made", 1], ["paid", 1], ["made", 1], ["paid", 2]);
      harness.open("a", { ...all, ...window(1) });
      harness.settings = { ...harness.settings, filter: EventFilter.parse(["paid"]) };
      harness.step({ type: "filter_changed", filter: EventFilter.parse(["paid"]), detail: "" });
      harness.seek(0);
      harness.ack("a", 2);
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 4]);
      expect(harness.machine.filters.earlier).to.deep.equal([]);
    });

    it("is where it was moved to after a crash, once that is durable, and before that where it was", () => {
      const harness = four(false);
      harness.open("a", all);
      harness.ack("a", 1, 4);
      while (harness.isSaving) harness.finishSaving();
      harness.seek(2);
      expect(harness.machine.counts().committedOffset, "retention must not take it meanwhile").to.equal(2);
      const before = harness.stored;
      harness.finishSaving();
      harness.crash();
      expect(harness.machine.counts()).to.include({ committedOffset: 2, next: 3 });
      harness.stored = before;
      harness.crash();
      expect(harness.machine.counts()).to.include({ committedOffset: 4, next: 5 });
    });

    it("relies on no floor of a cursor that was on its way when it was moved", () => {
      const harness = four(false);
      harness.open("a", all);
      harness.ack("a", 1, 4);
      expect(harness.isSaving).to.equal(true);
      harness.seek(1);
      harness.finishSaving();
      expect(harness.machine.counts().committedOffset).to.equal(0);
      while (harness.isSaving) harness.finishSaving();
      expect(harness.machine.counts().committedOffset).to.equal(1);
    });

    it("does not let go of what it was moved past before that is durable", () => {
      const harness = four(false);
      harness.seek(3);
      expect(harness.machine.counts().committedOffset).to.equal(0);
      harness.finishSaving();
      expect(harness.machine.counts().committedOffset).to.equal(3);
    });

    it("does not take an answer of the log for what it asks for now", () => {
      const harness = four();
      harness.open("a", all);
      harness.ack("a", 1, 4);
      const { machine, now } = harness;
      machine.step({ type: "session_ended", session: "a", graceful: true }, now);
      machine.step({ type: "head_advanced", head: offset(9) }, now);
      const open = { type: "session_opened", session: "b", settings: { clientId: "b", ackMode: "EXPLICIT", ...window(10), ackTimeoutMs: 1_000, stop: { kind: "never" }, maxBatchMessages: 10, maxBatchBytes: 1_000, maxInFlightPerLane: 9, sharing: "SHARED" }, claims: { processedThrough: undefined, done: [] } } as const;
      machine.step(open, now);
      expect(machine.step({ type: "session_started", session: "b" }, now).find(({ type }) => type === "load")).to.deep.equal({ type: "load", from: 5 });
      machine.step({ type: "position_moved", after: offset(1), settled: [], detail: "" }, now);
      const effects = machine.step({ type: "log_truncated", first: offset(8) }, now);
      expect(effects.filter(({ type }) => type === "load" || type === "gap")).to.deep.equal([{ type: "load", from: 2 }]);
      expect(machine.counts().next).to.equal(2);
    });

    it("keeps its dead letters, also one that is on its way, and hands its message out again", () => {
      const harness = four();
      harness.buriesLate = true;
      harness.open("a", { ...all, ...window(1) });
      harness.settle("a", { rejects: [{ range: range(1), reason: "bad" }] }, 1n);
      const later = from(harness);
      harness.seek(0);
      expect(later()).to.deep.equal([["SEEK", [1]]]);
      harness.finishBurying();
      expect(harness.deadLetters.map(({ offset: at, detail }) => [at, detail])).to.deep.equal([[1, "bad"]]);
      expect(confirmed(harness)).to.deep.equal([1n]);
      expect(harness.machine.counts()).to.include({ committedOffset: 0, unsettled: 1, inFlight: 1 });
      harness.ack("a", 1);
      expect(harness.machine.counts().committedOffset).to.equal(1);
    });

    it("writes one letter of a message that is given up again before the first is written, and answers both", () => {
      const harness = four();
      harness.buriesLate = true;
      harness.open("a", { ...all, ...window(1) });
      harness.settle("a", { rejects: [{ range: range(1), reason: "bad" }] }, 1n);
      harness.seek(0);
      harness.settle("a", { rejects: [{ range: range(1), reason: "worse" }] }, 2n);
      expect(confirmed(harness)).to.deep.equal([]);
      harness.finishBurying();
      expect(harness.deadLetters.map(({ detail }) => detail)).to.deep.equal(["bad"]);
      expect(confirmed(harness)).to.deep.equal([1n, 2n]);
      expect(harness.machine.counts().committedOffset).to.equal(1);
    });

    it("lets a session start whose claim lies beyond where it was moved back to", () => {
      const harness = four(false);
      harness.open("a", { ...all, sharing: "EXCLUSIVE" }, { processedThrough: offset(4) });
      harness.seek(1);
      while (harness.isSaving) harness.finishSaving();
      expect(harness.started.has("a")).to.equal(true);
      expect(harness.offsetsReceived("a")).to.deep.equal([2, 3, 4]);
    });

    it("takes back less than was settled from a client that keeps its own position, once it was moved back", () => {
      const harness = four();
      harness.open("a", { ...all, sharing: "EXCLUSIVE" });
      harness.ack("a", 1, 4);
      expect(harness.machine.settledThrough).to.equal(4);
      harness.seek(2);
      expect(harness.machine.settledThrough).to.equal(2);
    });

    it("moves without a session, and hands out to whoever comes", () => {
      const harness = four();
      harness.open("a", all);
      harness.ack("a", 1, 4);
      harness.end("a", true);
      harness.seek(2);
      harness.open("b", all);
      expect(harness.offsetsReceived("b")).to.deep.equal([3, 4]);
    });

    it("counts as taken what a transport has under AUTO", () => {
      const harness = four();
      harness.open("a", { ackMode: "AUTO" });
      const later = from(harness);
      harness.seek(3);
      expect(later()).to.deep.equal([["SEEK", [4]]]);
      expect(harness.effects.some(({ type }) => type === "recall")).to.equal(false);
      for (const { batch } of [...harness.received]) harness.step({ type: "batch_taken", session: "a", batchId: batch.batchId });
      expect(harness.machine.counts()).to.include({ committedOffset: 4, unsettled: 0 });
    });

    it("keeps a session that stops at the head until that is reached again", () => {
      const harness = four();
      harness.open("a", { ...all, stop: { kind: "at_head" } });
      harness.ack("a", 1, 3);
      harness.seek(0);
      harness.ack("a", 1, 3);
      expect(harness.effects.some(({ type }) => type === "finish_session")).to.equal(false);
      harness.ack("a", 4);
      expect(harness.effects.some(({ type }) => type === "finish_session")).to.equal(true);
    });

    it("says where it stands: what is settled, what is not, and what was given up", () => {
      const harness = four();
      harness.buriesLate = true;
      harness.open("a", all);
      harness.ack("a", 2);
      harness.settle("a", { rejects: [{ range: range(1), reason: "" }] });
      const standing = harness.machine.standing();
      harness.finishBurying();
      harness.ack("a", 3, 4);
      expect(standing).to.include({ floor: 0, next: 5, claimedThrough: 0 });
      expect([1, 2, 3, 4].map((at) => standing.isSettled(offset(at), harness.laneAt(at)))).to.deep.equal([true, true, false, false]);
    });
  });
}

describe("A subscription in lanes that is moved", () => {
  it("loses an ack that waits in its lane, and says so", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["made", 1], ["made", 1]);
    harness.open("a", { maxInFlightPerLane: 2 });
    harness.settle("a", { acks: [range(2)] }, 1n);
    expect(confirmed(harness)).to.deep.equal([]);
    harness.seek(0);
    expect(confirmed(harness)).to.deep.equal([1n]);
    expect(failures(harness)).to.deep.equal([["LEASE_LOST", 2, 2]]);
    expect(harness.received.at(-1)).to.deep.include({ offsets: [1, 2] });
  });

  it("keeps each lane in order from where it was moved to", () => {
    const harness = new SubscriptionHarness(ORDERED);
    harness.publishInLanes(["made", 1], ["made", 2], ["made", 1], ["made", 2], ["made", 1]);
    harness.open("a");
    harness.ack("a", 1);
    harness.seek(1);
    expect(harness.received.slice(-1)[0]?.offsets).to.deep.equal([2, 3]);
    harness.ack("a", 3);
    expect(harness.received.slice(-1)[0]?.offsets).to.deep.equal([5]);
    harness.ack("a", 2);
    expect(harness.received.slice(-1)[0]?.offsets).to.deep.equal([4]);
  });

  it("is blocked no more: the poison comes again, or is passed", () => {
    for (const [after, expected] of [[0, [1]], [1, [3]]] as const) {
      const harness = new SubscriptionHarness({ ...ORDERED, onPoison: "BLOCK_LANE", maxAttempts: 1 });
      harness.publishInLanes(["made", 1], ["made", 2], ["made", 1]);
      harness.open("a");
      harness.ack("a", 2);
      harness.settle("a", { retries: [{ range: range(1), delayMs: 0, reason: "bad" }] });
      expect(harness.machine.counts().blockedLanes).to.equal(1);
      harness.seek(after, [{ first: 2, last: 2 }]);
      expect(harness.machine.counts().blockedLanes).to.equal(0);
      expect(harness.received.slice(-1)[0]?.offsets).to.deep.equal(expected);
      expect(harness.received.slice(-1)[0]?.batch.attempt).to.equal(1);
    }
  });
});
