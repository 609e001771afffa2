import { expect } from "chai";
import type { EventInfo } from "../../../src/broker/event-list.js";
import { EventFilter } from "../../../src/core/event-filter.js";
import { LIMITS } from "../../../src/core/limits.js";
import { offset } from "../../../src/core/units.js";
import type { WallMs } from "../../../src/core/units.js";
import { SeededRandom } from "../../support/seeded-random.js";
import { Bench, run } from "./broker-harness.js";

const ALL = 10_000;
const EVENTS = ["order.created", "order.paid", "invoice.sent", "noise", "rare.one"] as const;
const FILTERS: Readonly<Record<string, readonly string[]>> = { all: [], orders: ["order.*"], invoices: ["invoice.**", "noise"] };

describe("the events of a queue", () => {
  it("name the durable subscribers that take them, sorted, at most 100", async () => {
    const bench = await Bench.start();
    for (let i = 0; i < LIMITS.matchingSubscribersMax + 5; i++) (await bench.subscribe({ subscriber: `s${String(999 - i)}`, events: ["order.*"] })).lost();
    (await bench.subscribe({ subscriber: "", events: ["stock.*"] })).lost();
    await bench.accepted([{ event: "order.created" }, { event: "stock.low" }]);
    const [order, stock] = await bench.broker.listEvents("orders", undefined, ALL);
    expect(order?.matchingSubscribers).to.have.length(LIMITS.matchingSubscribersMax);
    expect(order?.matchingSubscribers.slice(0, 3)).to.deep.equal(["s895", "s896", "s897"]);
    expect(stock).to.deep.include({ event: "stock.low", messageCount: 1, lastOffset: 2, matchingSubscribers: [] });
  });

  const source = SeededRandom.fromEnvironment();
  it(`agree with a recount through publishes, trims and restarts (TIDEMARK_SEED=${source.seed})`, async function () {
    this.timeout(60_000);
    let checked = 0;
    let trimmed = 0;
    for (let round = 0; round < 6; round++) {
      const bench = await Bench.start();
      const published: { readonly event: string; readonly timeMs: WallMs }[] = [];
      for (const [subscriber, events] of Object.entries(FILTERS)) (await bench.subscribe({ subscriber, events })).lost();
      for (let step = 0; step < 60; step++) {
        const draw = source.next();
        if (draw < 0.5) {
          const batch = Array.from({ length: source.between(1, 30) }, () => source.pick(EVENTS));
          const { publishTimeMs } = await bench.accepted(batch.map((event) => ({ event })));
          published.push(...batch.map((event) => ({ event, timeMs: publishTimeMs })));
        } else if (draw < 0.65) {
          await settleThrough(bench, source.between(0, published.length));
        } else if (draw < 0.72) {
          await bench.crashAndRestart();
        } else if (draw < 0.8) {
          // Beyond the dedup window: the headers of what was trimmed go too.
          await passTime(bench, source.between(1, 20));
        } else {
          bench.clock.advance(LIMITS.eventIndexAgeMs);
          const found = await bench.broker.listEvents("orders", undefined, ALL);
          const { firstOffset } = await bench.broker.getQueue("orders");
          expect(found).to.deep.equal(recount(published, firstOffset));
          checked++;
          if (firstOffset > 1) trimmed++;
        }
      }
    }
    expect(checked, "recounts").to.be.greaterThan(20);
    expect(trimmed, "recounts after a trim").to.be.greaterThan(5);
  });
});

/** Has every subscriber settle what it takes up to an offset, as far as it is handed out. */
async function settleThrough(bench: Bench, through: number): Promise<void> {
  if (through === 0) return;
  for (const subscriber of Object.keys(FILTERS)) {
    const session = await bench.subscribe({ subscriber });
    const { committedOffset } = await bench.broker.getSubscriber("orders", subscriber);
    await bench.advanceUntil("something comes, or there is nothing", () => session.offsets.length > 0 || session.heard.frames.includes("notice"), 10);
    const named = session.offsets.filter((at) => at <= through);
    if (named.length > 0 && committedOffset < through) await session.settle({ acks: named.map((at) => run(at)) });
    session.lost();
  }
  await passTime(bench, 3);
}

async function passTime(bench: Bench, steps: number): Promise<void> {
  let left = steps;
  await bench.advanceUntil("time to pass", () => left-- === 0, 10_000);
}

function recount(published: readonly { readonly event: string; readonly timeMs: WallMs }[], first: number): readonly EventInfo[] {
  const infos = new Map<string, EventInfo>();
  published.forEach(({ event, timeMs }, i) => {
    if (i + 1 < first) return;
    const matchingSubscribers = Object.keys(FILTERS).filter((name) => EventFilter.parse(FILTERS[name] ?? []).matches(event)).sort();
    infos.set(event, { event, messageCount: (infos.get(event)?.messageCount ?? 0) + 1, lastTimeMs: timeMs, lastOffset: offset(i + 1), matchingSubscribers });
  });
  return [...infos.values()].sort((a, b) => (a.event < b.event ? -1 : 1));
}
