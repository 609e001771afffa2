import { figureText, ratioTo } from "./report/table.js";
import type { Outcome } from "./rounds.js";

/** A ratio that a change must not fall below: the best run of ours by the best run of a bare limit, in one quick bench. */
interface Floor {
  readonly measure: string;
  readonly limit: string;
  /** About half of what was reached on a quiet machine: busy ones are noisy, and what must not pass unseen costs more. */
  readonly ratio: number;
}

const FLOORS: readonly Floor[] = [
  { measure: "publish, one caller", limit: "bare stream + LMDB", ratio: 0.3 },
  { measure: "publish, 256 callers", limit: "bare stream + LMDB", ratio: 0.3 },
  { measure: "publish, pipelined", limit: "bare stream + LMDB", ratio: 0.12 },
  { measure: "unary Publish, native client, 64 on their way", limit: "bare unary echo", ratio: 0.25 },
  { measure: "consume a backlog, ack each", limit: "bare frames of 100", ratio: 0.12 },
  { measure: "fan-out to 10", limit: "bare frames of 100", ratio: 0.12 },
];

/** What fell below its floor, a line each; a measure that was not run says nothing. */
export function belowFloors(outcomes: readonly Outcome[]): readonly string[] {
  return FLOORS.flatMap(({ measure, limit, ratio }) => {
    const outcome = outcomes.find((each) => each.measure === measure);
    if (outcome === undefined) return [];
    const reached = ratioTo(outcome, limit, (values) => Math.max(...values));
    return reached >= ratio ? [] : [`${measure}: ${figureText(reached)} of ${limit}, and the floor is ${ratio}`];
  });
}

/** The measures that have a floor. */
export function hasFloor(measure: string): boolean {
  return FLOORS.some((floor) => floor.measure === measure);
}
