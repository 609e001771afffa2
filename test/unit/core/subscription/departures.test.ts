import { expect } from "chai";
import { offset } from "../../../../src/core/units.js";
import { TurnBudget } from "../../../../src/core/subscription/turn-budget.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const WIDE = { flow: { maxMessages: 1_000, maxBytes: 1_000_000, paused: false }, maxBatchMessages: 10 };

/** So many messages, ten to a batch, and a session that holds all of them; from then on a turn gives back ten. */
function held(count: number, { ordered = false, lanes = count, exclusive = false } = {}): SubscriptionHarness {
  const harness = new SubscriptionHarness({ ...SETTINGS, ordered, maxUnsettled: 100_000 }, true, 4, new TurnBudget(20, Infinity));
  harness.publishInLanes(...Array.from({ length: count }, (_, i) => ["made", i % lanes] as const));
  harness.open("a", { ...WIDE, maxInFlightPerLane: 1_000, sharing: exclusive ? "EXCLUSIVE" : "SHARED" });
  expect(harness.machine.inFlight("a")).to.equal(count);
  harness.turns.begin();
  harness.turnsComeLate = true;
  return harness;
}

function turns(harness: SubscriptionHarness, count: number): void {
  for (let turn = 0; turn < count; turn++) harness.nextTurn();
}

function inFlight(harness: SubscriptionHarness): number {
  return harness.machine.counts().inFlight;
}

describe("a session that ends with much in hand", () => {
  for (const ordered of [false, true]) {
    describe(ordered ? "on an ordered queue" : "on a queue without order", () => {
      it("gives back so much a turn, and all of it counted", () => {
        const harness = held(50, { ordered });
        harness.end("a");
        const left: number[] = [];
        for (let turn = 0; turn < 5; turn++) {
          left.push(inFlight(harness));
          expect(harness.machine.counts().unsettled).to.equal(50);
          harness.nextTurn();
        }
        expect(left).to.deep.equal([40, 30, 20, 10, 0]);
        harness.turnsComeLate = false;
        const before = harness.received.length;
        harness.open("b", WIDE);
        const again = harness.received.slice(before);
        expect(again.flatMap(({ offsets }) => offsets)).to.deep.equal(Array.from({ length: 50 }, (_, i) => i + 1));
        for (const { batch } of again) expect(batch).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
      });

      it("gives back uncounted what it leaves in good order", () => {
        const harness = held(30, { ordered });
        harness.end("a", true);
        turns(harness, 3);
        harness.turnsComeLate = false;
        const before = harness.received.length;
        harness.open("b", WIDE);
        for (const { batch } of harness.received.slice(before)) expect(batch.deliveryCount).to.equal(1);
        expect(harness.received.length).to.be.greaterThan(before);
      });

      it("neither settles nor gets anything from then on", () => {
        const harness = held(30, { ordered });
        harness.end("a");
        const before = harness.received.length;
        harness.settle("a", { acks: [range(1, 30)] }, 7n);
        harness.publishInLanes(["made", 1_000]);
        turns(harness, 5);
        expect(harness.machine.counts()).to.include({ committedOffset: 0, unsettled: 30 });
        expect(harness.received.length).to.equal(before);
        expect(harness.effects.filter(({ type }) => type === "confirm")).to.deep.equal([]);
      });

      it("frees the place of an exclusive subscription when all of it is back", () => {
        const harness = held(40, { ordered, exclusive: true });
        harness.open("b", { ...WIDE, sharing: "EXCLUSIVE" });
        expect(harness.machine.standsBy("b")).to.equal(true);
        const before = harness.received.length;
        harness.end("a");
        harness.open("c", { ...WIDE, sharing: "EXCLUSIVE" });
        for (let turn = 0; turn < 3; turn++) {
          expect([harness.machine.standsBy("b"), harness.machine.standsBy("c")], "who waited longest is next, and waits").to.deep.equal([true, true]);
          expect(harness.received.length).to.equal(before);
          harness.nextTurn();
        }
        expect([harness.machine.standsBy("b"), harness.machine.standsBy("c")]).to.deep.equal([false, true]);
        turns(harness, 5);
        expect(harness.offsetsReceived("b")).to.deep.equal(Array.from({ length: 40 }, (_, i) => i + 1));
        expect(harness.offsetsReceived("c")).to.deep.equal([]);
      });

      it("keeps the next one of an exclusive subscription waiting, who then settles what its client has done", () => {
        const harness = held(40, { ordered, exclusive: true });
        harness.end("a");
        harness.open("b", { ...WIDE, sharing: "EXCLUSIVE" }, { processedThrough: offset(35) });
        expect([harness.started.has("b"), harness.machine.standsBy("b")]).to.deep.equal([false, false]);
        turns(harness, 2);
        expect(harness.started.has("b")).to.equal(false);
        turns(harness, 3);
        expect(harness.started.has("b")).to.equal(true);
        expect(harness.offsetsReceived("b")).to.deep.equal([36, 37, 38, 39, 40]);
        expect(harness.machine.counts().committedOffset).to.equal(35);
      });

      it("is no holder for whoever asks", () => {
        const harness = held(30, { ordered });
        harness.end("a");
        const first = ordered ? 1 : 30;
        expect(harness.machine.census().held.get("a")).to.have.length.greaterThan(0);
        expect(harness.machine.explaining.message(offset(first), harness.laneAt(first), harness.now)).to.include({ reason: "NO_CLIENT", deliveryCount: 1 });
        expect(harness.machine.explaining.waitingFor("a")).to.equal(undefined);
      });

      it("does not bring back what is purged meanwhile", () => {
        const harness = held(40, { ordered });
        harness.end("a");
        harness.purge(25);
        turns(harness, 5);
        harness.turnsComeLate = false;
        harness.open("b", WIDE);
        expect(harness.offsetsReceived("b")).to.deep.equal(Array.from({ length: 15 }, (_, i) => 26 + i));
      });

      it("forgets no count when the process dies meanwhile", () => {
        const harness = held(30, { ordered });
        harness.turnsComeLate = false;
        harness.end("a");
        harness.open("b", WIDE);
        expect(harness.received[harness.received.length - 1]?.batch.deliveryCount).to.equal(2);
        harness.turns.begin();
        harness.turnsComeLate = true;
        harness.end("b");
        expect(inFlight(harness)).to.equal(20);
        harness.publishInLanes(["made", 1_000]);
        harness.crash();
        const counts = Array.from({ length: 30 }, (_, i) => harness.machine.explaining.message(offset(1 + i), harness.laneAt(1 + i), harness.now)?.deliveryCount);
        expect(counts.filter((count) => count === undefined || count < 2)).to.deep.equal([]);
      });
    });
  }

  it("lets nothing of a lane out before its first message is back", () => {
    const harness = held(40, { ordered: true, lanes: 2 });
    harness.open("b", { ...WIDE, maxInFlightPerLane: 1_000 });
    harness.end("a");
    turns(harness, 2);
    expect([inFlight(harness), harness.offsetsReceived("b")], "the newest are back, the first of each lane are not").to.deep.equal([10, []]);
    turns(harness, 8);
    const lanes = [0, 1].map((lane) => harness.offsetsReceived("b").filter((at) => (at - 1) % 2 === lane));
    for (const lane of lanes) expect(lane, "in order, each once").to.deep.equal([...new Set(lane)].sort((one, other) => one - other));
    expect(lanes.flat()).to.have.length(40);
  });

  it("stores its cursor once it has given everything back", () => {
    const harness = held(50, { ordered: true });
    harness.open("b", WIDE);
    harness.diskIsFast = false;
    harness.end("a");
    const urgent = (): number => harness.effects.filter((effect) => effect.type === "save_cursor" && effect.urgent).length;
    const before = urgent();
    turns(harness, 3);
    expect(urgent()).to.equal(before);
    turns(harness, 2);
    expect(urgent()).to.equal(before + 1);
  });

  it("times out in turns as well, when it has not ended", () => {
    const harness = held(50);
    harness.pass(10_001);
    expect(inFlight(harness)).to.equal(40);
    harness.settle("a", { acks: [range(1, 50)] }, 7n);
    expect(harness.machine.counts(), "what is still leased can be settled").to.include({ unsettled: 10 });
    const confirmed = harness.effects.flatMap((effect) => (effect.type === "confirm" ? effect.failures : []));
    expect(confirmed).to.deep.equal([{ requestId: 7n, range: range(1, 10, 1), code: "LEASE_LOST" }]);
  });
});
