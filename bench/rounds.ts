import { setTimeout as delay } from "node:timers/promises";
import type { Cell, Figures, Measure } from "./measures/measure.js";

/** What one run of one cell may take, whatever it waits for. */
const RUN_MS_MAX = 90_000;

/** All rounds of one figure of one contestant. */
export interface Series {
  readonly contestant: string;
  readonly figure: string;
  readonly values: readonly number[];
  /** Why a run of it failed; its values are of the other runs. */
  readonly failure: string | undefined;
}

/** What came of one measure. */
export interface Outcome {
  readonly measure: string;
  readonly figures: Measure["figures"];
  readonly series: readonly Series[];
}

/**
 * Runs the cells of a measure in turn, round after round, so that a slow moment of the machine hits each of them; whoever does
 * not run is frozen. One short run of each comes first and does not count. A cell that failed is not run again.
 */
export async function runRounds(measure: Measure, rounds: number, msOfCells: number): Promise<Outcome> {
  const cellMs = msOfCells * (measure.lasts ?? 1);
  const values = new Map<string, number[]>();
  const failures = new Map<string, string>();
  const key = (contestant: string, figure: string): string => `${contestant}\n${figure}`;
  for (let round = 0; round <= rounds; round++) {
    for (const cell of measure.cells) {
      if (failures.has(cell.contestant)) continue;
      cell.resume();
      try {
        const figures = await bounded(cell, round === 0 ? cellMs / 2 : cellMs);
        if (round === 0) continue;
        for (const { name } of measure.figures) {
          const at = key(cell.contestant, name);
          values.set(at, [...(values.get(at) ?? []), figures[name] ?? Number.NaN]);
        }
      } catch (error) {
        failures.set(cell.contestant, error instanceof Error ? error.message : String(error));
      } finally {
        cell.pause();
      }
    }
  }
  const series = measure.cells.flatMap(({ contestant }) =>
    measure.figures.map(({ name }) => ({ contestant, figure: name, values: values.get(key(contestant, name)) ?? [], failure: failures.get(contestant) })),
  );
  return { measure: measure.name, figures: measure.figures, series };
}

async function bounded(cell: Cell, ms: number): Promise<Figures> {
  const late = new AbortController();
  const deadline = delay(RUN_MS_MAX, undefined, { signal: late.signal }).then(() => {
    throw new Error(`not over within ${RUN_MS_MAX / 1_000} s`);
  });
  // Of the two, whoever is second has nobody who waits for it.
  deadline.catch(() => undefined);
  try {
    return await Promise.race([cell.run(ms), deadline]);
  } finally {
    late.abort();
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
