import { expect } from "chai";
import { range, SETTINGS, SubscriptionHarness } from "../support/subscription-harness.js";
import { SeededRandom } from "../support/seeded-random.js";

const ORDERED = { ...SETTINGS, ordered: true, maxAttempts: 1_000, maxDeliveries: 1_000 };
const DEPTHS = [1, 2, 10, 1_000] as const;

describe("lanes, over a whole history", function () {
  this.timeout(60_000);
  const random = SeededRandom.fromEnvironment();

  it(`complete each key in the order of its offsets, through retries, timeouts and lost clients (TIDEMARK_SEED=${random.seed})`, () => {
    for (let run = 0; run < 100; run++) {
      const harness = new SubscriptionHarness(ORDERED);
      for (let chunk = 0; chunk < 4; chunk++) {
        harness.publishInLanes(...Array.from({ length: 15 }, () => ["made", random.between(0, 4)] as const));
      }
      const completed = new Map<bigint, number[]>();
      const asked = new Map<bigint, number>();
      let seen = 0;
      let request = 0n;
      let effects = 0;
      for (let turn = 0; turn < 5_000 && harness.machine.counts().committedOffset < harness.head; turn++) {
        const id = random.pick(["a", "b"] as const);
        if (harness.machine.explaining.waitingFor(id) === undefined && !harness.machine.census().held.has(id)) harness.open(id, { maxInFlightPerLane: random.pick(DEPTHS) });
        const held = [...(harness.machine.census().held.get(id) ?? [])].flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
        const at = held[random.between(0, Math.max(0, held.length - 1))];
        const mood = random.next();
        if (at === undefined || mood < 0.03) harness.pass(mood < 0.01 ? 20_000 : 500);
        else if (mood < 0.06) harness.end(id, random.chance(0.5));
        else if (mood < 0.15) harness.settle(id, { retries: [{ range: range(at), delayMs: random.between(0, 300), reason: "" }] });
        else {
          asked.set(++request, at);
          harness.settle(id, { acks: [range(at)] }, request);
        }
        for (; effects < harness.effects.length; effects++) {
          const effect = harness.effects[effects];
          if (effect?.type === "deliver") {
            for (const offset of harness.received[seen++]?.offsets ?? []) {
              expect(completed.get(harness.laneAt(offset)) ?? [], `offset ${offset} came after it was confirmed`).to.not.include(offset);
            }
          }
          if (effect?.type !== "confirm") continue;
          const done = effect.requestIds.filter((each) => !effect.failures.some(({ requestId }) => requestId === each)).map((each) => asked.get(each) ?? 0);
          for (const offset of done.sort((one, other) => one - other)) {
            const lane = completed.get(harness.laneAt(offset)) ?? [];
            completed.set(harness.laneAt(offset), [...lane, offset]);
          }
        }
      }
      expect(harness.machine.counts().committedOffset).to.equal(harness.head);
      for (const lane of completed.values()) expect(lane).to.deep.equal([...lane].sort((one, other) => one - other));
    }
  });

  it("give a hot key no more than its turn among 10,000 others", () => {
    const harness = new SubscriptionHarness({ ...ORDERED, maxUnsettled: 100_000 });
    const others = 10_000;
    for (let start = 0; start < others; start += 1_000) {
      harness.publishInLanes(...Array.from({ length: 2_000 }, (_, i) => ["made", i % 2 === 0 ? 0 : 1 + start + (i - 1) / 2] as const));
    }
    harness.open("a", { flow: { maxMessages: 50, maxBytes: 1_000_000_000, paused: false } });
    let hot = 0;
    let acked = 0;
    let longest = 0;
    for (let seen = 0; seen < harness.received.length && acked < others; seen++) {
      for (const offset of harness.received[seen]?.offsets ?? []) {
        hot = harness.laneAt(offset) === 0n ? hot + 1 : 0;
        longest = Math.max(longest, hot);
        harness.ack("a", offset);
        acked++;
      }
    }
    expect(acked).to.be.at.least(others);
    expect(longest, "hand-outs of the hot key between two others").to.be.at.most(50);
  });
});
