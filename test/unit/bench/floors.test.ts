import { readFileSync } from "node:fs";
import { expect } from "chai";
import { belowFloors, hasFloor, withFloor } from "../../../bench/floors.js";
import { RATE } from "../../../bench/measures/measure.js";
import type { BenchResults } from "../../../bench/report/report.js";
import type { Outcome } from "../../../bench/rounds.js";
import { outcomeOf } from "./results.js";

const KEPT = new URL("../../../bench/results/2026-11-25-e7d1a5d-floors.json", import.meta.url);

/** The same rounds with ours so many times as fast. */
function scaled(outcome: Outcome, factor: number): Outcome {
  return { ...outcome, series: outcome.series.map((each) => (each.contestant === "Tidemark" ? { ...each, values: each.values.map((value) => value * factor) } : each)) };
}

describe("floors", () => {
  const { outcomes } = JSON.parse(readFileSync(KEPT, "utf8")) as BenchResults;
  const pipelined = outcomes.find(({ measure }) => measure === "publish, pipelined");
  if (pipelined === undefined) throw new Error("the run that was kept has no pipelined publishing");

  it("hold for the runs that they were made of", () => {
    expect(belowFloors(outcomes)).to.deep.equal([]);
  });

  it("fall when ours gets much slower beside the same limit, each of them, and say of what", () => {
    const fallen = belowFloors(outcomes.map((outcome) => scaled(outcome, 0.25)));
    expect(fallen.length).to.equal(outcomes.length);
    expect(fallen.find((line) => line.startsWith("publish, pipelined"))).to.match(/^publish, pipelined: 0\.\d+ of bare stream \+ LMDB, and the floor is 0\.\d+$/);
  });

  it("count the best round, since noise only ever makes one slower", () => {
    const slowOnce = { ...pipelined, series: pipelined.series.map((each) => ({ ...each, values: each.contestant === "Tidemark" ? [1, ...each.values] : each.values })) };
    expect(belowFloors([slowOnce])).to.deep.equal([]);
  });

  it("fall when either side failed, and say nothing of what was not run", () => {
    const ours = outcomeOf("publish, pipelined", { Tidemark: "no answer", "bare stream + LMDB": [100] });
    const theirs = outcomeOf("publish, pipelined", { Tidemark: [100], "bare stream + LMDB": "no answer" });
    expect([belowFloors([ours]).length, belowFloors([theirs]).length, belowFloors([])]).to.deep.equal([1, 1, []]);
  });

  it("take of a measure the cells of ours and of the limit", () => {
    const cells = ["Tidemark", "Redis Streams, appendfsync always", "bare unary echo", "bare stream + LMDB"].map((contestant) => ({
      contestant,
      resume: () => undefined,
      pause: () => undefined,
      run: () => Promise.resolve({}),
    }));
    const measure = withFloor({ name: "publish, pipelined", figures: RATE, cells });
    expect(measure.cells.map(({ contestant }) => contestant)).to.deep.equal(["Tidemark", "bare stream + LMDB"]);
    expect([hasFloor("publish, pipelined"), hasFloor("publish, pipelined, 1 KiB")]).to.deep.equal([true, false]);
  });
});
