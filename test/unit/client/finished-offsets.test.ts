import { expect } from "chai";
import fc from "fast-check";
import { FinishedOffsets } from "../../../src/client/finished-offsets.js";
import { SeededRandom } from "../../support/seeded-random.js";

type Action = { readonly do: "add" | "delete" | "confirm"; readonly at: number } | { readonly do: "deleteRange"; readonly at: number; readonly count: number };

const at = fc.integer({ min: 1, max: 60 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("add" as const), at }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("deleteRange" as const), at, count: fc.integer({ min: 0, max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("confirm" as const), at: fc.integer({ min: 0, max: 60 }) }) },
);

const random = SeededRandom.fromEnvironment();

function runs(finished: FinishedOffsets): string[] {
  return finished.runs().map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`));
}

describe("finished offsets", () => {
  it("become runs of neighbours, in whatever order they came, and never span one that is missing", () => {
    const finished = new FinishedOffsets();
    for (const offset of [5, 2, 3, 9, 1, 6]) finished.add(offset);
    expect(runs(finished)).to.deep.equal(["1-3", "5-6", "9"]);
  });

  it("are forgotten when they are on disk, or come again", () => {
    const finished = new FinishedOffsets();
    for (let offset = 1; offset <= 10; offset++) finished.add(offset);
    finished.confirmThrough(3n);
    finished.delete(5);
    finished.deleteRange({ first: 8n, last: 9n, batchId: 1n });
    finished.deleteRange({ first: 10n, last: 0n, batchId: 1n });
    expect(runs(finished)).to.deep.equal(["4", "6-7"]);
  });

  it("are one run however many follow each other, and the highest 1,000 runs when there are more", () => {
    const finished = new FinishedOffsets();
    for (let offset = 1; offset <= 1_000_000; offset++) finished.add(offset);
    expect(runs(finished)).to.deep.equal(["1-1000000"]);
    for (let offset = 1_000_002; offset <= 1_004_000; offset += 2) finished.add(offset);
    expect(finished.runs()).to.have.length(1_000);
    expect(finished.runs().at(-1)).to.deep.equal({ first: 1_004_000n, last: 1_004_000n });
  });

  it(`are what a plain set of them would be (TIDEMARK_SEED=${random.seed})`, () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const finished = new FinishedOffsets();
        const model = new Set<number>();
        let committed = 0;
        for (const each of actions) {
          if (each.do === "add") {
            finished.add(each.at);
            model.add(each.at);
          } else if (each.do === "delete") {
            finished.delete(each.at);
            model.delete(each.at);
          } else if (each.do === "deleteRange") {
            finished.deleteRange({ first: BigInt(each.at), last: BigInt(each.count === 0 ? 0 : each.at + each.count), batchId: 1n });
            for (let offset = each.at; offset <= each.at + each.count; offset++) model.delete(offset);
          } else {
            finished.confirmThrough(BigInt(each.at));
            committed = Math.max(committed, each.at);
            for (const offset of model) if (offset <= committed) model.delete(offset);
          }
          const runs = finished.runs();
          expect(runs.flatMap(({ first, last }) => Array.from({ length: Number(last - first) + 1 }, (_, i) => Number(first) + i))).to.deep.equal([...model].sort((a, b) => a - b));
          expect(runs.every(({ first }, i) => i === 0 || first > (runs[i - 1]?.last ?? 0n) + 1n), "neighbours touch").to.equal(true);
        }
        expect(finished.committedOffset).to.equal(committed);
      }),
      { seed: random.seed },
    );
  });
});
