import { TARGETS, type Target } from "../targets.js";
import type { BenchResults } from "./report.js";
import { figureText, ratioTo } from "./table.js";

/** Runs that the page shows; what is older stays in the folder. */
const RUNS_SHOWN = 8;

/**
 * The page that tells how the ratios went from run to run.
 * @param runs by date and commit, oldest first
 */
export function historyPage(runs: ReadonlyMap<string, BenchResults>): string {
  const shown = [...runs].slice(-RUNS_SHOWN);
  const head = ["Tidemark to …", "target", ...shown.map(([name]) => `[${name}](${name}-bench.md)`)];
  const rows = TARGETS.map((target) => [`${target.measure}: ${target.against}`, targetText(target, shown), ...shown.map(([, results]) => reached(target, results))]);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return `# Recorded runs

Written by \`npm run bench -- --record\`; not edited. Each column is a run, by the day and the commit that was measured; each cell is
the median of Tidemark by the median of the other in that run, bold where the target is reached. For rates more is better, for
times, marked with ≤, less. Absolute figures, spread, versions and durability are behind the links, and the same in JSON.
\`…-floors\` is what the build's floors are made of, \`…-growth\` is from \`npm run bench:growth -- --record\`.

${[line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n")}
`;
}

function targetText({ measure, ratio }: Target, runs: readonly (readonly [name: string, results: BenchResults])[]): string {
  const isTime = runs.some(([, { outcomes }]) => outcomes.find((each) => each.measure === measure)?.figures[0]?.unit === "ms");
  return `${isTime ? "≤ " : ""}${ratio}`;
}

function reached({ measure, against, ratio }: Target, { outcomes }: BenchResults): string {
  const outcome = outcomes.find((each) => each.measure === measure);
  if (outcome === undefined) return "–";
  const found = ratioTo(outcome, against);
  const isReached = outcome.figures[0]?.unit === "ms" ? found <= ratio : found >= ratio;
  return isReached ? `**${figureText(found)}**` : figureText(found);
}
