import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContestantFacts } from "../contestants/party.js";
import type { Outcome } from "../rounds.js";
import { barChart } from "./chart.js";
import { measureTable } from "./table.js";

const DIGITS = 5;

/** What a run leaves behind: the same as figures, as a page, and as a chart. */
export interface ReportFiles {
  readonly json: string;
  readonly md: string;
  readonly svg?: string | undefined;
}

/** What the JSON of a bench has. */
export interface BenchResults {
  /** ISO 8601, when it was over. */
  readonly endedAt: string;
  readonly facts: readonly string[];
  readonly outcomes: readonly Outcome[];
}

export async function benchFiles(facts: readonly string[], outcomes: readonly Outcome[], contestants: readonly ContestantFacts[]): Promise<ReportFiles> {
  return {
    json: jsonText({ endedAt: new Date().toISOString(), facts, outcomes } satisfies BenchResults),
    md: `${facts.map((fact) => `- ${fact}`).join("\n")}\n\n${outcomes.map(measureTable).join("\n\n")}\n`,
    svg: await barChart(outcomes, contestants),
  };
}

/** Figures to five digits, lists of them in one line: it is kept, and read in diffs. */
export function jsonText(value: unknown): string {
  const rounded = JSON.stringify(value, (_, each: unknown) => (typeof each === "number" ? Number(each.toPrecision(DIGITS)) : each), 1);
  return `${rounded.replace(/\[[\s\d.,e+-]*\]/g, (list) => list.replace(/\s+/g, " "))}\n`;
}

/** Writes `name` with each kind's own ending. */
export async function writeFiles(folder: string, name: string, files: ReportFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const ending of ["json", "md", "svg"] as const) {
    const text = files[ending];
    if (text !== undefined) await writeFile(join(folder, `${name}.${ending}`), text);
  }
}
