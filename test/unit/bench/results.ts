import type { FigureKind } from "../../../bench/measures/measure.js";
import { RATE } from "../../../bench/measures/measure.js";
import type { Outcome } from "../../../bench/rounds.js";

/** What came of a measure of one figure: the rounds of each contestant, or why it failed. */
export function outcomeOf(measure: string, rounds: Readonly<Record<string, readonly number[] | string>>, figures: readonly FigureKind[] = RATE): Outcome {
  const figure = figures[0]?.name ?? "";
  const series = Object.entries(rounds).map(([contestant, found]) => ({
    contestant,
    figure,
    values: typeof found === "string" ? [] : found,
    failure: typeof found === "string" ? found : undefined,
  }));
  return { measure, figures, series };
}
