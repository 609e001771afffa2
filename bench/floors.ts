import { readFileSync } from "node:fs";
import type { Measure } from "./measures/measure.js";
import { figureText, ratioTo } from "./report/table.js";
import type { BenchResults } from "./report/report.js";
import type { Outcome } from "./rounds.js";

/**
 * Runs of `--quick --peers none --floors` that were recorded: what was reached. The disk flushed 2,000 times a second in one and
 * 200 times in the other, which changes the ratios; the lower one of both has to be kept.
 */
const REACHED = ["results/2026-11-25-0241c3e-floors.json", "results/2026-11-25-e7d1a5d-floors.json"].map((file) => new URL(file, import.meta.url));

/** Of what was reached, this much must stay: busy machines are noisy, and what costs more must not pass unseen. */
const SHARE = 0.6;

/** The best round of ours by the best round of a bare limit, in one run. */
const FLOORS: readonly { readonly measure: string; readonly limit: string }[] = [
  { measure: "publish, one caller", limit: "bare stream + LMDB" },
  { measure: "publish, 256 callers", limit: "bare stream + LMDB" },
  { measure: "publish, pipelined", limit: "bare stream + LMDB" },
  { measure: "PublishBatch of 100, 16 on their way", limit: "bare stream + LMDB" },
  { measure: "unary Publish, native client, 64 on their way", limit: "bare unary echo" },
  { measure: "consume a backlog, ack each", limit: "bare frames of 100" },
  { measure: "fan-out to 10", limit: "bare frames of 100" },
];

/** What fell below its floor, a line each; a measure that was not run says nothing. */
export function belowFloors(outcomes: readonly Outcome[]): readonly string[] {
  const reached = REACHED.map((file) => JSON.parse(readFileSync(file, "utf8")) as BenchResults);
  return FLOORS.flatMap(({ measure, limit }) => {
    const outcome = outcomes.find((each) => each.measure === measure);
    if (outcome === undefined) return [];
    const ratios = reached.map((run) => bestRatio(run.outcomes.find((each) => each.measure === measure), limit));
    const floor = SHARE * Math.min(...ratios);
    const ratio = bestRatio(outcome, limit);
    return ratio >= floor ? [] : [`${measure}: ${figureText(ratio)} of ${limit}, and the floor is ${figureText(floor)}`];
  });
}

/** The measures that have a floor. */
export function hasFloor(measure: string): boolean {
  return FLOORS.some((floor) => floor.measure === measure);
}

/** Of a measure, the cells that its floor is made of. */
export function withFloor(measure: Measure): Measure {
  const limit = FLOORS.find((floor) => floor.measure === measure.name)?.limit;
  return { ...measure, cells: measure.cells.filter(({ contestant }) => contestant === "Tidemark" || contestant === limit) };
}

/** Of the best rounds, since noise only ever makes one slower. */
function bestRatio(outcome: Outcome | undefined, limit: string): number {
  return outcome === undefined ? Number.NaN : ratioTo(outcome, limit, (values) => Math.max(...values));
}
