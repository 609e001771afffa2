import { expect } from "chai";
import { EventFilter } from "../../../../src/core/event-filter.js";
import { offset, wallMs } from "../../../../src/core/units.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const ORDERED = { ...SETTINGS, ordered: true };
const ONE = { flow: { maxMessages: 1, maxBytes: 1_000_000, paused: false } };

function notices(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "notice" && effect.reason === "SETTINGS_CHANGED" ? [`${effect.session}: ${effect.detail}`] : []));
}

function changeFilter(harness: SubscriptionHarness, ...patterns: string[]): void {
  harness.settings = { ...harness.settings, filter: EventFilter.parse(patterns) };
  harness.step({ type: "filter_changed", filter: harness.settings.filter, detail: patterns.join(" ") });
}

function pause(harness: SubscriptionHarness, forMs?: number): void {
  harness.step({ type: "pause_changed", pause: { resumeTimeMs: forMs === undefined ? undefined : wallMs(harness.now.wallMs + forMs) }, detail: "paused" });
}

function resume(harness: SubscriptionHarness): void {
  harness.step({ type: "pause_changed", pause: undefined, detail: "resumed" });
}

for (const settings of [SETTINGS, ORDERED]) {
  describe(`A pause ${settings.ordered ? "in lanes" : "without order"}`, () => {
    it("stops hand-outs of what is new and of what came back, and its end lets them go on", () => {
      const harness = new SubscriptionHarness(settings);
      harness.open("a");
      harness.publishInLanes(["made", 1], ["made", 2]);
      pause(harness);
      harness.publishInLanes(["made", 3], ["made", 1]);
      harness.settle("a", { releases: [range(1)] });
      expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
      expect(harness.machine.explaining.waitingFor("a")).to.equal("PAUSED");
      resume(harness);
      expect(harness.offsetsReceived().slice(2).sort()).to.deep.equal(settings.ordered ? [1, 3] : [1, 3, 4]);
      expect(harness.machine.counts().pause).to.equal(undefined);
      expect(notices(harness)).to.deep.equal(["a: paused", "a: resumed"]);
    });

    it("takes verdicts, and lets leases run out", () => {
      const harness = new SubscriptionHarness(settings);
      harness.open("a");
      harness.publishInLanes(["made", 1], ["made", 2]);
      pause(harness);
      harness.ack("a", 1);
      expect(harness.machine.counts()).to.include({ committedOffset: 1, inFlight: 1 });
      harness.pass(10_000);
      expect(harness.machine.counts()).to.include({ inFlight: 0, unsettled: 1 });
      expect(harness.received).to.have.length(1);
      resume(harness);
      expect(harness.received[1]).to.deep.include({ offsets: [2] });
      expect(harness.received[1]?.batch).to.include({ cause: "TIMEOUT", deliveryCount: 2 });
    });

    it("holds for a session that comes, and ends by itself at its time", () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(1);
      pause(harness, 5_000);
      harness.open("a");
      expect(harness.machine.nextWake()).to.equal(harness.now.monotonicMs + 5_000);
      harness.pass(4_999);
      expect(harness.received).to.deep.equal([]);
      harness.pass(1);
      expect(harness.offsetsReceived()).to.deep.equal([1]);
      expect(notices(harness)).to.deep.equal(["a: the pause is over, as it was set to end now"]);
    });

    it("holds back a suspect, and hands it out when it ends", () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(1);
      for (const session of ["a", "b"]) {
        harness.open(session);
        harness.end(session);
      }
      pause(harness);
      harness.open("c");
      expect(harness.offsetsReceived("c")).to.deep.equal([]);
      resume(harness);
      expect(harness.received.at(-1)?.batch).to.include({ deliveryCount: 3 });
    });

    it("whose time has passed is none", () => {
      const harness = new SubscriptionHarness(settings);
      harness.open("a");
      pause(harness, 0);
      harness.publishMany(1);
      expect(harness.offsetsReceived()).to.deep.equal([1]);
    });
  });

  describe(`A filter that changes ${settings.ordered ? "in lanes" : "without order"}`, () => {
    it("holds for what was not looked at yet, and what the old one passed over stays passed", () => {
      const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["a"]) });
      harness.open("s", ONE);
      harness.publishInLanes(["b", 1], ["a", 2], ["b", 3], ["a", 4], ["b", 5]);
      expect(harness.offsetsReceived()).to.deep.equal([2]);
      changeFilter(harness, "b");
      harness.ack("s", 2);
      // Of 3 the old filter has looked at nothing: it stopped at the first message that found no room.
      expect(harness.offsetsReceived().slice(1).every((at) => harness.eventAt(at) === "b")).to.equal(true);
      for (let last = harness.offsetsReceived().at(-1) ?? 0; last < 5; last = harness.offsetsReceived().at(-1) ?? 0) harness.ack("s", last);
      harness.ack("s", 5);
      expect(harness.offsetsReceived()).not.to.include(1);
      expect(harness.machine.counts()).to.include({ committedOffset: 5, unsettled: 0 });
      expect(harness.machine.filters.earlier).to.deep.equal([]);
      expect(notices(harness)).to.deep.equal(["s: b"]);
    });

    it("does not lose what came back from before, through a crash and in chunks in which it takes nothing", () => {
      const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["a"]) }, true, 1);
      harness.publishInLanes(["a", 1], ["a", 1]);
      harness.publishInLanes(["b", 1]);
      harness.publishInLanes(["a", 2]);
      harness.open("s", { maxInFlightPerLane: 9 });
      expect(harness.offsetsReceived()).to.deep.equal([1, 2, 4]);
      changeFilter(harness, "b");
      expect(harness.machine.filters.earlier.map(({ through, filter }) => [through, filter.patterns])).to.deep.equal([[4, ["a"]]]);
      harness.publishInLanes(["b", 1], ["a", 1]);
      harness.crash();
      harness.received.length = 0;
      harness.open("t", { maxInFlightPerLane: 9 });
      expect(harness.offsetsReceived().sort()).to.deep.equal([1, 2, 4, 5]);
      for (const at of [1, 2, 4, 5]) harness.ack("t", at);
      expect(harness.machine.counts()).to.include({ committedOffset: 6, unsettled: 0 });
      expect(harness.machine.filters.earlier).to.deep.equal([]);
    });

    it("is remembered only for filters under which something was looked at", () => {
      const harness = new SubscriptionHarness(settings);
      harness.publishMany(1);
      harness.open("s", ONE);
      for (const pattern of ["a", "b", "c"]) changeFilter(harness, pattern);
      expect(harness.machine.filters.earlier.map(({ filter }) => filter.patterns)).to.deep.equal([[]]);
      harness.publish("c");
      harness.ack("s", 1);
      expect(harness.offsetsReceived()).to.deep.equal([1, 2]);
    });

    it("asks again for a chunk that came without a body under the old one", () => {
      const harness = new SubscriptionHarness({ ...settings, filter: EventFilter.parse(["a"]) });
      harness.open("s");
      harness.publish("b");
      changeFilter(harness, "b");
      harness.publish("b");
      expect(harness.offsetsReceived()).to.deep.equal([2]);
      expect(harness.machine.counts().next).to.equal(offset(3));
    });
  });
}

describe("The filter of a message", () => {
  it("is the one it was looked at with, also inside one chunk", () => {
    const harness = new SubscriptionHarness({ ...ORDERED, filter: EventFilter.parse(["a"]) });
    harness.open("s", ONE);
    harness.publishInLanes(["a", 1], ["a", 1], ["b", 1], ["a", 1], ["b", 1]);
    changeFilter(harness, "b");
    const all: number[] = [];
    for (let at = harness.offsetsReceived().at(-1); at !== undefined && !all.includes(at); at = harness.offsetsReceived().at(-1)) {
      all.push(at);
      harness.ack("s", at);
    }
    const looked = harness.machine.counts().next - 1;
    expect(looked).to.equal(5);
    expect(all).to.deep.equal([1, 2, 4]);
    harness.publishInLanes(["b", 1], ["a", 1]);
    expect(harness.offsetsReceived().at(-1)).to.equal(6);
  });
});
