import { expect } from "chai";
import type { SessionSettings } from "../../../../src/core/subscription/facts.js";
import { range, SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const EXCLUSIVE = { sharing: "EXCLUSIVE" } as const;

function takeovers(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "notice" && effect.reason === "TAKEN_OVER" ? [effect.session] : []));
}

function finished(harness: SubscriptionHarness): string[] {
  return harness.effects.flatMap((effect) => (effect.type === "finish_session" ? [effect.session] : []));
}

for (const ordered of [false, true]) {
  describe(`exclusive sessions on ${ordered ? "an ordered" : "an unordered"} queue`, () => {
    const make = (): SubscriptionHarness => new SubscriptionHarness({ ...SETTINGS, ordered });
    const open = (harness: SubscriptionHarness, id: string, settings: Partial<SessionSettings> = {}): void => {
      harness.open(id, { ...EXCLUSIVE, maxInFlightPerLane: 10, ...settings });
    };

    it("work one at a time: the first gets everything, the others wait for it", () => {
      const harness = make();
      open(harness, "a", { flow: { maxMessages: 1, maxBytes: 1_000, paused: false } });
      open(harness, "b");
      harness.publishMany(3);
      expect(harness.offsetsReceived("a")).to.deep.equal([1]);
      expect(harness.offsetsReceived("b")).to.deep.equal([]);
      expect([harness.machine.standsBy("a"), harness.machine.standsBy("b")]).to.deep.equal([false, true]);
      expect(harness.machine.explaining.waitingFor("b")).to.equal("STANDBY");
      harness.ack("a", 1);
      expect(harness.offsetsReceived("a")).to.deep.equal([1, 2]);
    });

    for (const graceful of [false, true]) {
      it(`are taken over from in the step in which the one that works ${graceful ? "leaves" : "is lost"}, oldest first`, () => {
        const harness = make();
        open(harness, "a");
        open(harness, "b");
        open(harness, "c");
        harness.publishMany(2);
        harness.diskIsFast = false;
        const effects = harness.machine.step({ type: "session_ended", session: "a", graceful }, harness.now);
        expect(effects.find((effect) => effect.type === "notice")).to.deep.include({ session: "b", reason: "TAKEN_OVER" });
        expect([harness.machine.standsBy("b"), harness.machine.standsBy("c")]).to.deep.equal([false, true]);
      });
    }

    it("hand what the lost one held to the next, counted, and nothing twice", () => {
      const harness = make();
      open(harness, "a");
      open(harness, "b");
      harness.publishMany(4);
      harness.ack("a", 1, 2);
      harness.end("a");
      const [batch, ...more] = harness.received.filter(({ session }) => session === "b");
      expect(more).to.deep.equal([]);
      expect(batch?.offsets).to.deep.equal([3, 4]);
      expect(batch?.batch).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
      harness.ack("b", 3, 4);
      expect(harness.machine.counts().committedOffset).to.equal(4);
    });

    it("are not taken over from while the one that works drains and holds something", () => {
      const harness = make();
      open(harness, "a");
      open(harness, "b");
      harness.publishMany(1);
      harness.step({ type: "drain_requested", session: "a" });
      harness.publishMany(1);
      expect(harness.offsetsReceived("b")).to.deep.equal([]);
      open(harness, "c");
      expect(harness.machine.standsBy("c")).to.equal(true);
      harness.ack("a", 1);
      expect(finished(harness)).to.deep.equal(["a"]);
      expect(takeovers(harness)).to.deep.equal(["b"]);
      expect(harness.offsetsReceived("b")).to.deep.equal([2]);
    });

    it("that stand by and drain end at once, and never take over", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, ordered }, false);
      open(harness, "a");
      open(harness, "b");
      open(harness, "c");
      harness.publishMany(1);
      harness.ack("a", 1);
      // Its OK waits for the disk.
      harness.machine.step({ type: "drain_requested", session: "b" }, harness.now);
      harness.end("a");
      expect(takeovers(harness)).to.deep.equal(["c"]);
      expect(harness.machine.standsBy("b")).to.equal(true);
    });

    it("work alone again when only draining ones are left that stand by", () => {
      const harness = new SubscriptionHarness({ ...SETTINGS, ordered }, false);
      open(harness, "a");
      open(harness, "b");
      harness.publishMany(1);
      harness.ack("a", 1);
      harness.machine.step({ type: "drain_requested", session: "b" }, harness.now);
      harness.end("a");
      open(harness, "c");
      expect(harness.machine.standsBy("c")).to.equal(false);
    });

    it("keep their place while paused", () => {
      const harness = make();
      open(harness, "a", { flow: { maxMessages: 10, maxBytes: 1_000, paused: true } });
      open(harness, "b");
      harness.publishMany(1);
      expect(harness.received).to.deep.equal([]);
      expect([harness.machine.explaining.waitingFor("a"), harness.machine.explaining.waitingFor("b")]).to.deep.equal(["PAUSED", "STANDBY"]);
    });

    it("may be AUTO and EXPLICIT side by side", () => {
      const harness = make();
      open(harness, "a", { ackMode: "AUTO" });
      open(harness, "b");
      harness.publishMany(2);
      harness.end("a");
      expect(harness.offsetsReceived("a")).to.deep.equal([1, 2]);
      harness.publishMany(1);
      expect(harness.offsetsReceived("b")).to.deep.equal([3]);
    });

    it("bring a suspect to the one that works, alone", () => {
      const harness = make();
      harness.publishMany(1);
      for (const id of ["a", "b"]) {
        open(harness, id);
        harness.end(id);
      }
      open(harness, "c");
      open(harness, "d");
      expect(harness.received.filter(({ session }) => session !== "a" && session !== "b").map(({ session, batch }) => [session, batch.deliveryCount])).to.deep.equal([["c", 3]]);
    });

    it("are told of dead letters and of what is gone, also those that stand by", () => {
      const harness = make();
      open(harness, "a");
      open(harness, "b");
      harness.publishMany(1);
      harness.settle("a", { rejects: [{ range: range(1), reason: "no" }] });
      const told = harness.effects.flatMap((effect) => (effect.type === "notice" && effect.reason === "DEAD_LETTERED" ? [effect.session] : []));
      expect(told).to.deep.equal(["a", "b"]);
    });
  });
}
