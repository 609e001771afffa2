import { expect } from "chai";
import { Ordering } from "../../generated/tidemark/v1/queue.js";
import { expectDocumented, forEach, MemoryBench, PAUSED, windowOf } from "../support/memory-costs.js";
import { payload } from "../support/stubs.js";
import { repositoryText } from "../unit/contract/descriptor-set.js";

/** So many that what the names cost their queue and its chunks does not matter. */
const FILTERS = 100;
const MB = 1_000_000;
const NOTHING = payload("");
const SECTION = "What things cost in memory";

/** What the table says each thing costs, in bytes. */
function documentedCosts(): ReadonlyMap<string, number> {
  const text = repositoryText("docs/limits.md").split(`\n## ${SECTION}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = [...text.matchAll(/^\| ([^|]+) \| ([\d,]+)[^|]* \| [^|]+ \| [^|]+ \|$/gm)];
  return new Map(rows.map(([, what = "", bytes = ""]) => [what, Number(bytes.replaceAll(",", ""))]));
}

/** What one of each costs a server, measured. */
const COSTS: Readonly<Record<string, (bench: MemoryBench) => Promise<number>>> = {
  "A queue, open and empty": (bench) => bench.bytesEach(200, 800, (from, to) => forEach(from, to, (i) => bench.createQueue(`queue-${i}`))),

  "A subscriber, asleep": (bench) =>
    bench.bytesEach(200, 800, (from, to) =>
      forEach(from, to, async (i) => {
        const stream = await bench.open("queue", `asleep-${i}`);
        await stream.halfClose();
      }),
    ),

  "An event name that a filter has judged": async (bench) => {
    await forEach(0, FILTERS, (i) => bench.open("queue", `reader-${i}`, { events: ["order.*"], flow: PAUSED }));
    const each = await bench.bytesEach(100, 1_000, (from, to) => bench.publish("queue", from, to, (i) => ({ event: `order.of-a-kind-${i}`, body: NOTHING })));
    return each / FILTERS;
  },

  "An open Subscribe stream": (bench) => bench.bytesEach(200, 800, (from, to) => forEach(from, to, () => bench.open("queue", "shared"))),

  "A pull session, with the message that it holds": async (bench) => {
    await bench.createQueue("queue");
    await bench.publish("queue", 0, 4_000);
    return bench.bytesEach(200, 1_000, (from, to) => forEach(from, to, () => bench.stubs.pull({ queue: "queue", subscriber: "shared", maxMessages: 1 })));
  },

  "A message in flight": async (bench) => {
    await bench.createQueue("queue");
    await bench.publish("queue", 0, 100_000);
    const stream = await bench.open("queue", "holder", { flow: PAUSED });
    return bench.bytesEach(10_000, 100_000, async (from, to) => {
      stream.send({ $case: "flow", value: windowOf(to) });
      await stream.receive(to - from);
    });
  },

  "A batch in flight": async (bench) => {
    await bench.createQueue("queue");
    await bench.publish("queue", 0, 20_000);
    const stream = await bench.open("queue", "holder", { flow: PAUSED, maxBatchMessages: 1 });
    return bench.bytesEach(4_000, 20_000, async (from, to) => {
      stream.send({ $case: "flow", value: windowOf(to) });
      await stream.receive(to - from);
    });
  },

  "A message in flight in a lane of its own": async (bench) => {
    await bench.createQueue("queue", Ordering.ORDERED);
    await bench.publish("queue", 0, 40_000, (i) => ({ orderingKey: `key-${i}` }));
    const stream = await bench.open("queue", "holder", { flow: PAUSED });
    return bench.bytesEach(10_000, 40_000, async (from, to) => {
      stream.send({ $case: "flow", value: windowOf(to) });
      await stream.receive(to - from);
    });
  },

  "A hole in what is settled": async (bench) => {
    await bench.createQueue("queue");
    await bench.publish("queue", 0, 40_000);
    const stream = await bench.open("queue", "holder", { flow: windowOf(40_000) });
    const messages = await stream.receive(40_000);
    // Every second message is settled; the others are held, so that their runs alone are what grows.
    return bench.bytesEach(4_000, 20_000, async (from, to) => {
      const every = messages.slice(2 * from, 2 * to).filter((_, i) => i % 2 === 0);
      for (let first = 0; first < every.length; first += 4_000) await stream.ack(every.slice(first, first + 4_000));
    });
  },

  "A message that waits for its retry": async (bench) => {
    await bench.createQueue("queue");
    await bench.publish("queue", 0, 20_000);
    return retriesLater(bench);
  },

  "A lane that lags": async (bench) => {
    await bench.createQueue("queue", Ordering.ORDERED);
    await bench.publish("queue", 0, 20_000, (i) => ({ orderingKey: `key-${i}` }));
    return retriesLater(bench);
  },

  "A message id in the deduplication window": async (bench) => {
    // Fills the cache of chunks first, which every publish goes through.
    const body = payload("x".repeat(2_900));
    await bench.publish("full", 0, 14_000, () => ({ body }));
    return bench.bytesEach(50_000, 450_000, (from, to) => bench.publish("queue", from, to, (i) => ({ body: NOTHING, messageId: `${i}` })));
  },
};

/** What one message costs that was given back for an hour, each by itself, as handlers fail. */
async function retriesLater(bench: MemoryBench): Promise<number> {
  const stream = await bench.open("queue", "holder", { flow: PAUSED });
  const delay = { seconds: 3_600n, nanos: 0 };
  return bench.bytesEach(2_000, 20_000, async (from, to) => {
    stream.send({ $case: "flow", value: windowOf(to - from) });
    const messages = await stream.receive(to - from);
    stream.send({ $case: "flow", value: PAUSED });
    for (let first = 0; first < messages.length; first += 1_000) {
      await stream.settle({ retries: messages.slice(first, first + 1_000).map(({ offset, batchId }) => ({ range: { first: offset, last: offset, batchId }, delay, reason: "" })) });
    }
  });
}

describe("memory", function () {
  this.timeout(60_000);
  const documented = documentedCosts();

  it("has a row in docs/limits.md for everything that is measured, and no other", () => {
    expect([...documented.keys()]).to.have.members(Object.keys(COSTS));
  });

  for (const [what, measure] of Object.entries(COSTS)) {
    it(`is what docs/limits.md says of: ${what}`, async () => {
      const bench = await MemoryBench.start();
      try {
        const bytes = await measure(bench);
        expectDocumented(documented.get(what) ?? 0, bytes);
      } finally {
        await bench.end();
      }
    });
  }

  it("of an idle server is below 60 MB", async () => {
    const bench = await MemoryBench.start();
    try {
      const { privateBytes } = await bench.memory();
      expect(privateBytes).to.be.below(60 * MB);
    } finally {
      await bench.end();
    }
  });

  it("does not grow with what is retained: with a million messages 90 MB are held", async () => {
    const bench = await MemoryBench.start();
    try {
      await bench.publish("queue", 0, 1_000_000);
      const { heldBytes } = await bench.memory();
      expect(heldBytes).to.be.below(90 * MB);
    } finally {
      await bench.end();
    }
  });
});
