import { expect } from "chai";
import { LIMITS } from "../../../../src/core/limits.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const BLOCKING = { ...SETTINGS, ordered: true, onPoison: "BLOCK_LANE" as const, maxAttempts: 1, maxDeliveries: 3 };

/** A subscriber with messages of these lanes, in this order, and a session `a`. */
function working(lanes: readonly number[], depth = 1, settings = BLOCKING): SubscriptionHarness {
  const harness = new SubscriptionHarness(settings);
  harness.publishInLanes(...lanes.map((lane) => ["made", lane] as const));
  harness.open("a", { maxInFlightPerLane: depth });
  return harness;
}

function retry(harness: SubscriptionHarness, session: string, first: number, { last = first, delayMs = 0, requestId = 0n } = {}): void {
  harness.settle(session, { retries: [{ range: range(first, last), delayMs, reason: "busy" }] }, requestId);
}

function reject(harness: SubscriptionHarness, session: string, at: number, requestId = 0n): void {
  harness.settle(session, { rejects: [{ range: range(at), reason: "ticket 7" }] }, requestId);
}

function notices(harness: SubscriptionHarness, wanted = "LANE_BLOCKED"): (readonly [session: string, at: number | undefined, detail: string])[] {
  return harness.effects.flatMap((effect) => (effect.type === "notice" && effect.reason === wanted ? [[effect.session, effect.range?.first, effect.detail] as const] : []));
}

function answers(harness: SubscriptionHarness, requestId: bigint): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "confirm" && effect.requestIds.includes(requestId) ? [effect.failures.map(({ code, range: { first, last } }) => `${code} ${first}-${last}`).join() || "ok"] : []));
}

describe("BLOCK_LANE", () => {
  it("leaves a message whose last attempt failed where it is, and holds up what follows in its lane alone", () => {
    const harness = working([1, 2, 1, 2]);
    retry(harness, "a", 1);
    harness.ack("a", 2);
    harness.pass(9_000);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 4]);
    expect(harness.machine.counts()).to.include({ blockedLanes: 1, committedOffset: 0, unsettled: 3, inFlight: 1, waitingRetry: 0 });
    expect(harness.machine.census()).to.deep.include({ blocked: [1], burying: [] });
    expect(harness.deadLetters).to.deep.equal([]);
    harness.ack("a", 4);
    expect(harness.machine.explaining.waitingFor("a")).to.equal("LANE");
  });

  it("blocks after the last hand-out without a verdict too", () => {
    const harness = working([1, 1]);
    for (let handOut = 0; handOut < 3; handOut++) harness.pass(10_000);
    expect(harness.received.map(({ offsets, batch }) => [offsets, batch.deliveryCount])).to.deep.equal([[[1], 1], [[1], 2], [[1], 3]]);
    expect(harness.machine.counts().blockedLanes).to.equal(1);
    expect(notices(harness)).to.deep.equal([["a", 1, "MAX_DELIVERIES"]]);
  });

  it("rejects as ever: into the dead letters, and the lane goes on", () => {
    const harness = working([1, 1]);
    reject(harness, "a", 1);
    expect(harness.deadLetters.map(({ offset, reason }) => [offset, reason])).to.deep.equal([[1, "REJECTED"]]);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
  });

  it("tells every session once it is durable, and one that comes later", () => {
    const harness = working([1, 1]);
    harness.open("b");
    harness.diskIsFast = false;
    retry(harness, "a", 1);
    expect(notices(harness)).to.deep.equal([]);
    harness.finishSaving();
    harness.open("late");
    expect(notices(harness)).to.deep.equal([["a", 1, "MAX_ATTEMPTS: busy"], ["b", 1, "MAX_ATTEMPTS: busy"], ["late", 1, "MAX_ATTEMPTS: busy"]]);
  });

  it("tells a session that comes late of so many lanes and no more", () => {
    const lanes = LIMITS.blockedLanesTold + 5;
    const harness = working(Array.from({ length: lanes }, (_, i) => i + 1));
    retry(harness, "a", 1, { last: lanes });
    harness.open("late");
    const told = notices(harness).filter(([session]) => session === "late").map(([, at]) => at);
    expect(told).to.deep.equal(Array.from({ length: LIMITS.blockedLanesTold }, (_, i) => i + 1));
  });

  it("survives a restart with its counts, its words and who held it", () => {
    const harness = working([1, 2, 1]);
    retry(harness, "a", 1);
    harness.ack("a", 2);
    harness.crash();
    harness.open("b");
    harness.publishInLanes(["made", 1], ["made", 3]);
    expect(harness.offsetsReceived("b")).to.deep.equal([5]);
    expect(harness.machine.counts().blockedLanes).to.equal(1);
    harness.changeRules({ onPoison: "DEAD_LETTER" });
    expect(harness.deadLetters).to.deep.include({ offset: 1, reason: "MAX_ATTEMPTS", detail: "busy", attempts: 1, deliveries: 1, holderSession: "a", holderClient: "client-a" });
    expect(harness.offsetsReceived("b")).to.deep.equal([5, 3]);
  });

  it("comes again after a crash that forgot the block, with the counts it had", () => {
    const harness = working([1, 1]);
    harness.diskIsFast = false;
    retry(harness, "a", 1, { requestId: 1n });
    harness.crash();
    expect(answers(harness, 1n)).to.deep.equal([]);
    expect(harness.machine.counts().blockedLanes).to.equal(0);
    harness.open("b");
    expect(harness.offsetsReceived("b")).to.deep.equal([1]);
  });

  it("recalls what was in flight behind it, and answers for what the same frame said of that", () => {
    const harness = working([1, 1, 1, 1], 4);
    retry(harness, "a", 1, { last: 2, requestId: 9n });
    expect(harness.effects.filter((effect) => effect.type === "recall").flatMap(({ ranges, cause }) => ranges.map(({ first, last }) => [first, last, cause]))).to.deep.equal([[2, 4, "RETRY"]]);
    expect(answers(harness, 9n)).to.deep.equal(["LEASE_LOST 2-2"]);
    expect(harness.machine.counts()).to.include({ blockedLanes: 1, inFlight: 0, unsettled: 4 });
    reject(harness, "a", 1);
    expect(harness.received.slice(1).map(({ offsets, batch }) => [offsets, batch.attempt])).to.deep.equal([[[2, 3, 4], 1]]);
  });

  it("waits until what comes before in the lane is settled before it blocks", () => {
    const harness = working([1, 1, 1], 3);
    retry(harness, "a", 2, { requestId: 5n });
    expect([harness.machine.counts().blockedLanes, answers(harness, 5n)]).to.deep.equal([0, []]);
    harness.ack("a", 1);
    expect([harness.machine.counts().blockedLanes, answers(harness, 5n)]).to.deep.equal([1, ["ok"]]);
    expect(harness.machine.census().blocked).to.deep.equal([2]);
    expect(harness.machine.counts()).to.include({ committedOffset: 1, inFlight: 0 });
  });

  it("is forgotten with the verdict when what comes before in the lane comes back", () => {
    const harness = working([1, 1], 2, { ...BLOCKING, maxAttempts: 2 });
    retry(harness, "a", 2);
    retry(harness, "a", 2, { requestId: 7n });
    expect([harness.received.at(-1)?.batch.attempt, answers(harness, 7n)]).to.deep.equal([2, []]);
    retry(harness, "a", 1);
    expect(answers(harness, 7n)).to.deep.equal(["LEASE_LOST 2-2"]);
    harness.ack("a", 1);
    expect(harness.machine.counts()).to.include({ blockedLanes: 0, committedOffset: 1, inFlight: 1 });
    expect(harness.received.map(({ offsets, batch }) => [offsets, batch.attempt])).to.deep.equal([[[1, 2], 1], [[2], 2], [[1], 2], [[2], 2]]);
  });

  describe("by hand", () => {
    it("rejects from any session: a dead letter with those words, and the lane goes on", () => {
      const harness = working([1, 1]);
      retry(harness, "a", 1);
      harness.open("operator", { flow: { maxMessages: 1, maxBytes: 1, paused: true } });
      reject(harness, "operator", 1, 3n);
      expect(answers(harness, 3n)).to.deep.equal(["ok"]);
      expect(harness.deadLetters).to.deep.include({ offset: 1, reason: "REJECTED", detail: "ticket 7", attempts: 1, deliveries: 1, holderSession: "a", holderClient: "client-a" });
      expect(harness.offsetsReceived("a")).to.deep.equal([1, 2]);
      expect(harness.machine.counts()).to.include({ blockedLanes: 0, committedOffset: 1 });
      expect(notices(harness, "DEAD_LETTERED").map(([session]) => session)).to.deep.equal(["a", "operator"]);
    });

    it("answers a reject when the copy is durable, and blocks again after a crash before", () => {
      const harness = working([1, 1]);
      retry(harness, "a", 1);
      harness.buriesLate = true;
      harness.diskIsFast = false;
      reject(harness, "a", 1, 3n);
      harness.finishSaving();
      expect([answers(harness, 3n), harness.machine.counts().blockedLanes, harness.machine.census().burying]).to.deep.equal([[], 0, [1]]);
      harness.crash();
      expect(harness.machine.counts().blockedLanes).to.equal(1);
      harness.open("b");
      expect(harness.offsetsReceived("b")).to.deep.equal([]);
      reject(harness, "b", 1, 4n);
      harness.finishBurying();
      while (harness.isSaving) harness.finishSaving();
      expect(answers(harness, 4n)).to.deep.equal(["ok"]);
      expect(harness.offsetsReceived("b")).to.deep.equal([2]);
    });

    it("retries: one more attempt after the delay, and blocked again when that fails", () => {
      const harness = working([1, 1]);
      retry(harness, "a", 1);
      retry(harness, "a", 1, { delayMs: 500, requestId: 3n });
      expect([answers(harness, 3n), harness.machine.counts().blockedLanes, harness.machine.counts().waitingRetry]).to.deep.equal([["ok"], 0, 1]);
      harness.pass(499);
      expect(harness.received).to.have.length(1);
      harness.pass(1);
      expect(harness.received[1]).to.deep.include({ offsets: [1] });
      expect(harness.received[1]?.batch).to.include({ attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "busy" });
      harness.settle("a", { retries: [{ range: range(1, 1, 2), delayMs: 0, reason: "still" }] });
      expect(harness.machine.counts().blockedLanes).to.equal(1);
      retry(harness, "a", 1);
      harness.ack("a", 1);
      expect(harness.offsetsReceived()).to.deep.equal([1, 1, 1, 2]);
      expect(notices(harness).map(([, , detail]) => detail)).to.deep.equal(["MAX_ATTEMPTS: busy", "MAX_ATTEMPTS: still"]);
    });

    it("retries what hand-outs without a verdict had blocked: one more hand-out, alone", () => {
      const harness = working([1, 2, 1], 1, { ...BLOCKING, maxAttempts: 5 });
      harness.settle("a", { extends: [{ range: range(2), leaseMs: 100_000 }] });
      harness.end("a");
      harness.open("a");
      for (let handOut = 0; handOut < 4; handOut++) {
        const held = harness.received.at(-1)?.offsets ?? [];
        if (held.includes(2)) harness.ack("a", 2);
        harness.pass(10_000);
      }
      expect(harness.machine.census().blocked).to.deep.equal([1]);
      const before = harness.received.length;
      retry(harness, "a", 1);
      expect(harness.received[before]?.batch).to.include({ attempt: 1, deliveryCount: 4, cause: "RETRY" });
      harness.pass(10_000);
      expect(harness.machine.census().blocked).to.deep.equal([1]);
    });

    for (const [what, settlement, code] of [
      ["an ack", { acks: [range(1)] }, "ALREADY_SETTLED 1-1"],
      ["a release", { releases: [range(1)] }, "ALREADY_SETTLED 1-1"],
      ["a verdict on a run of offsets", { rejects: [{ range: range(1, 2), reason: "" }] }, "ALREADY_SETTLED 1-1"],
      ["a verdict on the batch that it came in", { rejects: [{ range: range(1, 1, 1), reason: "" }] }, "ALREADY_SETTLED 1-1"],
      ["a verdict on what waits behind it", { rejects: [{ range: range(2), reason: "" }] }, "NOT_HELD 2-2"],
    ] as const) {
      it(`does not take ${what}`, () => {
        const harness = working([1, 1]);
        retry(harness, "a", 1);
        harness.settle("a", settlement, 3n);
        expect(answers(harness, 3n)).to.deep.equal([code]);
        expect(harness.machine.census().blocked).to.deep.equal([1]);
      });
    }

    it("is not meant where nothing is blocked", () => {
      const harness = working([1, 1]);
      harness.open("operator", { flow: { maxMessages: 1, maxBytes: 1, paused: true } });
      reject(harness, "operator", 1, 3n);
      expect(answers(harness, 3n)).to.deep.equal(["NOT_HELD 1-1"]);
    });
  });

  it("buries what is blocked when poison goes to the dead letters again, and tells of both", () => {
    const harness = working([1, 2, 1, 2]);
    retry(harness, "a", 1, { last: 2 });
    expect(harness.machine.counts().blockedLanes).to.equal(2);
    harness.changeRules({ onPoison: "DEAD_LETTER" });
    expect(harness.deadLetters.map(({ offset, reason, detail }) => [offset, reason, detail])).to.deep.equal([[1, "MAX_ATTEMPTS", "busy"], [2, "MAX_ATTEMPTS", "busy"]]);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
    expect(notices(harness, "SETTINGS_CHANGED")).to.deep.equal([["a", undefined, "onPoison"]]);
  });

  it("buries what is blocked after a restart too, when the crash came between the switch and the copies", () => {
    const harness = working([1, 1]);
    retry(harness, "a", 1);
    harness.buriesLate = true;
    harness.changeRules({ onPoison: "DEAD_LETTER" });
    harness.crash();
    harness.buriesLate = false;
    harness.open("b");
    expect(harness.deadLetters.map(({ offset, reason, detail }) => [offset, reason, detail])).to.deep.equal([[1, "MAX_ATTEMPTS", "busy"]]);
    expect(harness.offsetsReceived("b")).to.deep.equal([2]);
  });

  it("keeps what is blocked when other rules change", () => {
    const harness = working([1, 1]);
    retry(harness, "a", 1);
    harness.changeRules({ maxAttempts: 100, maxDeliveries: 100 });
    harness.pass(60_000);
    expect([harness.machine.census().blocked, harness.offsetsReceived()]).to.deep.equal([[1], [1]]);
  });

  it("counts a blocked lane once against max_unsettled, which stops what is new", () => {
    const harness = working([1, 2, 3, 4], 1, { ...BLOCKING, maxUnsettled: 2 });
    retry(harness, "a", 1, { last: 2 });
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    expect(harness.machine.explaining.waitingFor("a")).to.equal("UNSETTLED_LIMIT");
    harness.changeRules({ maxUnsettled: 10 });
    expect(harness.offsetsReceived()).to.deep.equal([1, 2, 3, 4]);
  });

  it("blocks an ephemeral subscriber for as long as its stream; a reject settles", () => {
    const harness = working([1, 1], 1, { ...BLOCKING, ephemeral: true });
    retry(harness, "a", 1);
    expect(harness.machine.counts().blockedLanes).to.equal(1);
    reject(harness, "a", 1, 2n);
    expect(answers(harness, 2n)).to.deep.equal(["ok"]);
    expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
  });

  it("leaves nothing of a rejected message behind that was purged before its copy was made, when the server crashes then", () => {
    const harness = working([1, 2]);
    retry(harness, "a", 1);
    harness.buriesLate = true;
    reject(harness, "a", 1);
    harness.purge(1);
    harness.crash();
    expect(harness.machine.census()).to.deep.include({ ready: [], waiting: [], blocked: [], burying: [] });
    expect(harness.machine.counts()).to.include({ blockedLanes: 0, committedOffset: 1 });
  });

  it("lets go of a blocked message that retention dropped, and keeps one before what cannot be read", () => {
    const harness = working([1, 1]);
    retry(harness, "a", 1);
    harness.step({ type: "chunk_corrupt", from: range(2).first, through: range(2).first });
    expect(harness.machine.census().blocked).to.deep.equal([1]);
    harness.step({ type: "log_truncated", first: range(3).first });
    expect(harness.machine.counts()).to.include({ blockedLanes: 0, committedOffset: 2 });
  });
});
