import { expect } from "chai";
import { EventCounts, OTHER_EVENTS } from "../../../src/broker/event-counts.js";
import { chunkOf } from "../../support/chunk-builder.js";
import { SeededRandom } from "../../support/seeded-random.js";

const ALL = Number.MAX_SAFE_INTEGER;

function listed(counts: EventCounts, after?: string, limit = ALL): readonly (readonly [string, number, number])[] {
  return counts.list(after, limit).map(({ event, messageCount, lastOffset }) => [event, messageCount, lastOffset]);
}

describe("counts by event", () => {
  it("tell how many messages there are of each, and the newest one, sorted by name", () => {
    const counts = new EventCounts(10);
    counts.add(chunkOf(1, ["b", "a", "b"]), 0, 3);
    counts.add(chunkOf(4, ["c", "a"]), 0, 2);
    expect(listed(counts)).to.deep.equal([["a", 2, 5], ["b", 2, 3], ["c", 1, 4]]);
    expect(listed(counts, "a", 1)).to.deep.equal([["b", 2, 3]]);
  });

  it("forget an event with its last message", () => {
    const counts = new EventCounts(10);
    const chunk = chunkOf(1, ["a", "b", "a"]);
    counts.add(chunk, 0, 3);
    expect(counts.takeOff(chunk, 0, 2)).to.equal(true);
    expect(listed(counts)).to.deep.equal([["a", 1, 3]]);
  });

  it("say so when something is taken off that was not counted", () => {
    const counts = new EventCounts(10);
    counts.add(chunkOf(1, ["a"]), 0, 1);
    expect(counts.takeOff(chunkOf(1, ["b"]), 0, 1)).to.equal(false);
  });

  it("count names beyond the bound together", () => {
    const counts = new EventCounts(2);
    counts.add(chunkOf(1, ["a", "b", "c", "d", "a"]), 0, 5);
    expect(listed(counts)).to.deep.equal([[OTHER_EVENTS, 2, 4], ["a", 2, 5], ["b", 1, 2]]);
  });

  const source = SeededRandom.fromEnvironment();
  it(`agree with a recount whatever is added and taken off (TIDEMARK_SEED=${source.seed})`, () => {
    const names = ["a", "b", "c", "d", "e", "f"] as const;
    let crowded = 0;
    for (let round = 0; round < 200; round++) {
      const counts = new EventCounts(source.between(1, 4));
      let messages: { readonly at: number; readonly event: string }[] = [];
      let next = 1;
      for (let step = 0; step < 30; step++) {
        const events = Array.from({ length: source.between(1, 5) }, () => source.pick(names));
        counts.add(chunkOf(next, events), 0, events.length);
        messages.push(...events.map((event, i) => ({ at: next + i, event })));
        next += events.length;
        const gone = messages.slice(0, source.between(0, 6));
        messages = messages.slice(gone.length);
        const [oldest] = gone;
        if (oldest !== undefined) expect(counts.takeOff(chunkOf(oldest.at, gone.map(({ event }) => event)), 0, gone.length)).to.equal(true);
        const told = new Set(counts.list(undefined, ALL).map(({ event }) => event));
        const expected = new Map<string, { count: number; last: number }>();
        for (const { at, event } of messages) {
          const name = told.has(event) ? event : OTHER_EVENTS;
          expected.set(name, { count: (expected.get(name)?.count ?? 0) + 1, last: at });
        }
        if (expected.has(OTHER_EVENTS)) crowded++;
        expect(listed(counts)).to.have.deep.members([...expected].map(([event, { count, last }]) => [event, count, last]));
      }
    }
    expect(crowded, "steps in which names were not told apart").to.be.greaterThan(100);
  });
});
