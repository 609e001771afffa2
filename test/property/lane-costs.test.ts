import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "chai";
import { range, SETTINGS, SubscriptionHarness } from "../support/subscription-harness.js";
import { SeededRandom } from "../support/seeded-random.js";

const ORDERED = { ...SETTINGS, ordered: true, maxAttempts: 1_000, maxDeliveries: 1_000, maxUnsettled: 1_000_000 };
const KEYS = 100_000;
const MESSAGES_A_KEY = 3;
const AT_ONCE = 1_000;
/** Hash, first offset and count, and what LEB128 adds to them. */
const CURSOR_BYTES_A_LANE_MAX = 16;
/** A lane, its entry, its places in the maps of lanes and heaps, and the batch that holds its message. */
const HEAP_BYTES_A_LANE_MAX = 2_048;
/** By how much two runs may differ that keep the same. */
const HEAP_BYTES_NOISE = 4 * 1_024 * 1_024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** A history in which every key has messages and all but these are done with; what the machine and its cursor take then. */
function costOf(lagging: ReadonlySet<number>): { readonly cursorBytes: number; readonly heapBytes: number; readonly lanes: number } {
  const harness = new SubscriptionHarness(ORDERED, true, 1);
  harness.open("a", { flow: { maxMessages: KEYS, maxBytes: 1_000_000_000, paused: false }, maxBatchMessages: AT_ONCE, ackTimeoutMs: 3_600_000 });
  for (let first = 0; first < KEYS * MESSAGES_A_KEY; first += AT_ONCE) {
    harness.publishInLanes(...Array.from({ length: AT_ONCE }, (_, i) => ["made", (first + i) % KEYS] as const));
    const done = harness.received.splice(0).flatMap(({ offsets }) => offsets.filter((at) => !lagging.has((at - 1) % KEYS)));
    harness.settle("a", { acks: done.map((at) => range(at)) });
    // What the test remembers is no cost of the machine.
    harness.effects.length = 0;
  }
  const { lanes } = harness.machine.census();
  return { cursorBytes: harness.machine.encodeCursor().bytes.length, heapBytes: heapBytes(), lanes: lanes.length };
}

describe("lanes that lag", function () {
  this.timeout(120_000);
  const random = SeededRandom.fromEnvironment();

  it(`are what cursor and memory grow with, among ${KEYS} keys (TIDEMARK_SEED=${random.seed})`, () => {
    const { heapBytes: heapOfNone, cursorBytes: cursorOfNone } = costOf(new Set());
    expect(cursorOfNone).to.be.below(16);
    for (const share of [0.001, 0.05]) {
      const lagging = new Set(Array.from({ length: KEYS }, (_, key) => key).filter(() => random.chance(share)));
      const cost = costOf(lagging);
      expect(cost.lanes).to.equal(lagging.size);
      expect(cost.cursorBytes, `cursor of ${lagging.size} lanes`).to.be.at.most(cursorOfNone + lagging.size * CURSOR_BYTES_A_LANE_MAX);
      expect(cost.heapBytes - heapOfNone, `heap of ${lagging.size} lanes`).to.be.at.most(HEAP_BYTES_NOISE + lagging.size * HEAP_BYTES_A_LANE_MAX);
    }
  });

  it(`are one where there is no key, and whoever stands beside takes it over in the step in which its holder goes (TIDEMARK_SEED=${random.seed})`, () => {
    let takeovers = 0;
    for (let run = 0; run < 200; run++) {
      const harness = new SubscriptionHarness(ORDERED);
      const ids = ["a", "b", "c"] as const;
      for (const id of ids) harness.open(id);
      harness.publishMany(20);
      for (let turn = 0; turn < 200 && harness.machine.counts().committedOffset < harness.head; turn++) {
        const { held } = harness.machine.census();
        const holders = [...held].flatMap(([id, runs]) => runs.map(({ first }) => ({ id, first })));
        expect(holders, "who holds the lane").to.have.length(1);
        const { id, first } = holders[0]!;
        if (random.chance(0.7)) {
          harness.ack(id, first);
          continue;
        }
        const received = harness.received.length;
        harness.end(id, random.chance(0.5));
        const [next] = harness.received.slice(received);
        expect(next?.session, "who takes over").to.not.equal(id);
        expect(next?.offsets).to.deep.equal([first]);
        takeovers++;
        harness.open(id);
      }
      expect(harness.machine.counts().committedOffset).to.equal(harness.head);
    }
    expect(takeovers).to.be.above(100);
  });
});
