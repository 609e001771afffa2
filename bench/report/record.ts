import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { historyPage } from "./history.js";
import { type BenchResults, type ReportFiles, writeFiles } from "./report.js";

const RESULTS = fileURLToPath(new URL("../results", import.meta.url));

/** What runs are kept: everybody, ours and the limits for the floors, or growth. */
export type RecordKind = "bench" | "floors" | "growth";

/** The commit that is measured, in short. Figures of anything else could not be had again. */
export function commitOf(): string {
  const git = (...args: readonly string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  if (git("status", "--porcelain", "--", "src", "bench", "package-lock.json", ":(exclude)bench/results") !== "") throw new Error("--record needs a clean checkout: commit what is measured first");
  return git("rev-parse", "--short=7", "HEAD");
}

/** Keeps a run, and writes the page that compares all that are kept. The chart of the newest bench is the README's. */
export async function record(commit: string, kind: RecordKind, { svg, ...files }: ReportFiles): Promise<void> {
  const name = `${new Date().toISOString().slice(0, 10)}-${commit}-${kind}`;
  await writeFiles(RESULTS, name, files);
  if (kind === "bench" && svg !== undefined) writeFileSync(`${RESULTS}/chart.svg`, svg);
  writeFileSync(`${RESULTS}/README.md`, historyPage(kept()));
  console.log(`kept as bench/results/${name}`);
}

/** All benches that are kept, oldest first. */
function kept(): ReadonlyMap<string, BenchResults> {
  const names = readdirSync(RESULTS).filter((name) => name.endsWith("-bench.json"));
  const runs = names.map((name) => [name.replace("-bench.json", ""), JSON.parse(readFileSync(`${RESULTS}/${name}`, "utf8")) as BenchResults] as const);
  return new Map(runs.sort(([, a], [, b]) => a.endedAt.localeCompare(b.endedAt)));
}
