import { expect } from "chai";
import type { SessionSettings } from "../../../../src/core/subscription/facts.js";
import { SETTINGS, SubscriptionHarness } from "../../../support/subscription-harness.js";

const window = (maxMessages: number): Partial<SessionSettings> => ({ flow: { maxMessages, maxBytes: 1_000_000, paused: false } });

function counts(harness: SubscriptionHarness, ...sessions: string[]): number[] {
  return sessions.map((session) => harness.offsetsReceived(session).length);
}

describe("clients of one subscriber", () => {
  it("share a burst, though one batch would hold all of it", () => {
    const harness = new SubscriptionHarness();
    for (const session of ["a", "b", "c"]) harness.open(session);
    harness.publishMany(30);
    expect(counts(harness, "a", "b", "c")).to.deep.equal([10, 10, 10]);
  });

  it("take in turn what comes one by one", () => {
    const harness = new SubscriptionHarness();
    for (const session of ["a", "b", "c"]) harness.open(session);
    for (let i = 0; i < 6; i++) harness.publish("made");
    expect(counts(harness, "a", "b", "c")).to.deep.equal([2, 2, 2]);
  });

  it("share by what each can take: who holds much gets less", () => {
    const harness = new SubscriptionHarness();
    harness.open("busy", window(100));
    harness.publishMany(80);
    harness.open("idle", window(100));
    harness.publishMany(60);
    expect(counts(harness, "busy", "idle")).to.deep.equal([80 + 10, 50]);
  });

  it("get no more than their windows, and a backlog fills the windows of all", () => {
    const harness = new SubscriptionHarness();
    for (const [session, size] of [["a", 5], ["b", 70], ["c", 300]] as const) harness.open(session, window(size));
    harness.publishMany(1_000);
    expect(counts(harness, "a", "b", "c")).to.deep.equal([5, 70, 300]);
  });

  it("do not wait for one that holds its window and acks nothing", () => {
    const harness = new SubscriptionHarness();
    harness.open("stuck", window(3));
    harness.open("works", window(3));
    harness.publishMany(500);
    for (let taken = 0; taken < harness.received.length; taken++) {
      const { session, offsets } = harness.received[taken] ?? { session: "", offsets: [] };
      if (session === "works") for (const at of offsets) harness.ack("works", at);
    }
    expect(counts(harness, "stuck", "works")).to.deep.equal([3, 497]);
  });

  it("share what a lost one leaves behind", () => {
    const harness = new SubscriptionHarness();
    harness.open("lost");
    harness.publishMany(60);
    for (const session of ["a", "b", "c"]) harness.open(session);
    harness.end("lost");
    expect(counts(harness, "a", "b", "c")).to.deep.equal([20, 20, 20]);
  });

  it("leave to the others what a paused one would have got", () => {
    const harness = new SubscriptionHarness();
    harness.open("a");
    harness.open("b");
    harness.open("paused", { flow: { maxMessages: 1_000, maxBytes: 1_000_000, paused: true } });
    harness.publishMany(30);
    expect(counts(harness, "a", "b", "paused")).to.deep.equal([15, 15, 0]);
  });

  it("share lanes: each key goes to one of them, and none takes all keys of a burst", () => {
    const harness = new SubscriptionHarness({ ...SETTINGS, ordered: true });
    for (const session of ["a", "b", "c"]) harness.open(session);
    harness.publishInLanes(...Array.from({ length: 60 }, (_, i) => ["made", i % 30] as const));
    expect(counts(harness, "a", "b", "c")).to.deep.equal([10, 10, 10]);
    const keys = ["a", "b", "c"].flatMap((session) => harness.offsetsReceived(session).map((at) => harness.laneAt(at)));
    expect(new Set(keys).size).to.equal(30);
  });
});
