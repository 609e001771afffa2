import { median, type Outcome, type Series } from "../rounds.js";

const OURS = "Tidemark";

/** One measure as Markdown: median, spread, and how many times as much ours is. */
export function measureTable(outcome: Outcome): string {
  const head = ["", ...outcome.figures.map(({ name, unit }) => (name === "perSecond" ? unit : `${name}, ${unit}`)), "lowest to highest", "Tidemark / this"];
  const contestants = [...new Set(outcome.series.map(({ contestant }) => contestant))];
  const rows = contestants.map((contestant) => {
    const series = outcome.figures.map(({ name }) => find(outcome, contestant, name));
    const [first] = series;
    if (first?.failure !== undefined) return [contestant, ...series.map(() => "–"), `failed: ${first.failure.split("\n")[0] ?? ""}`, ""];
    return [contestant, ...series.map((each) => figureText(median(each?.values ?? []))), spread(first), ratioText(outcome, contestant)];
  });
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [`### ${outcome.measure}`, "", line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

/**
 * How many times as much Tidemark does as a contestant; for times, how many times as long it takes. NaN: not known.
 * @param pick the run that counts: the median, or for floors the best, since noise only ever makes a run slower
 */
export function ratioTo(outcome: Outcome, contestant: string, pick: (values: readonly number[]) => number = median): number {
  const figure = outcome.figures[0]?.name ?? "";
  const ours = find(outcome, OURS, figure);
  const theirs = find(outcome, contestant, figure);
  if (contestant === OURS || ours === undefined || theirs === undefined || theirs.failure !== undefined) return Number.NaN;
  return pick(ours.values) / pick(theirs.values);
}

/** A figure as people read it. */
export function figureText(value: number): string {
  if (Number.isNaN(value)) return "–";
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3);
}

function find(outcome: Outcome, contestant: string, figure: string): Series | undefined {
  return outcome.series.find((series) => series.contestant === contestant && series.figure === figure);
}

function spread(series: Series | undefined): string {
  const values = series?.values ?? [];
  return values.length === 0 ? "" : `${figureText(Math.min(...values))} to ${figureText(Math.max(...values))}`;
}

function ratioText(outcome: Outcome, contestant: string): string {
  const ratio = ratioTo(outcome, contestant);
  return Number.isNaN(ratio) ? "" : ratio.toPrecision(2);
}
