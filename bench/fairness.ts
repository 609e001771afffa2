/**
 * What others cost a modest user: 200 messages a second on a queue of its own, alone and beside somebody who takes all he can
 * get, in turn. Also how long the server's event loop was held at most meanwhile. `npm run bench:fairness -- --help` says what
 * there is.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { connect } from "../src/client/index.js";
import { BACKLOG, fill, MODEST, PAYLOAD } from "./contestants/fairness-queues.js";
import { Neighbour } from "./contestants/neighbour.js";
import { type LoopHolds, ProbedServer } from "./contestants/probed-server.js";
import { ModestPair } from "./measures/modest-pair.js";
import { machineText } from "./report/machine.js";
import { figureText } from "./report/table.js";
import { median } from "./rounds.js";

const BACKLOG_MESSAGES = 1_000_000;
const PER_SECOND = 200;
const ROUND_MS = 1_500;
/** The neighbour begins so long after the round. */
const HEAD_START_MS = 200;
/** Between two rounds, so that the one before is over. */
const REST_MS = 300;

const ACTS = [
  "a greedy publisher",
  "a greedy publisher of 64 KiB",
  "catching up on a million",
  "never-reading subscribers",
  "purging 32,000 chunks",
  "deleting 32,000 chunks",
  "retention dropping a million",
  "ids leaving the window",
  "a session of 100,000 lanes ends",
] as const;
/** Acts whose cost is looked at once more with a process instead that does nothing but take as much of a processor. */
const WITH_CONTROL: ReadonlySet<string> = new Set(["a greedy publisher", "a greedy publisher of 64 KiB", "catching up on a million"]);
const CONTROL = "a processor kept busy";

/** From the call of the publisher to the consumer. */
interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Round {
  readonly alone: Latency;
  readonly beside: Latency;
  readonly holds: LoopHolds;
  readonly cpuShare: number;
}

/** What was found of one neighbour. */
interface Finding {
  readonly act: string;
  readonly rounds: readonly Round[];
}

interface Flags {
  readonly rounds: number;
  readonly only?: string;
  readonly out: string;
}

const flags = new Command("fairness")
  .description("Measures what a modest user of Tidemark feels of others.")
  .option("--rounds <count>", "rounds of each, alone and beside in turn", Number, 5)
  .option("--only <text>", "only neighbours whose name contains this")
  .option("--out <folder>", "where fairness.json and fairness.md go", fileURLToPath(new URL("../.cache/bench", import.meta.url)))
  .parse()
  .opts<Flags>();

const server = await ProbedServer.start();
const client = connect(server.address);
const pair = new ModestPair(client, MODEST, PER_SECOND, PAYLOAD.length);
const neighbour = Neighbour.start(server.address);
const findings: Finding[] = [];
try {
  await fill(client, BACKLOG, BACKLOG_MESSAGES);
  await modest();
  for (const act of ACTS) {
    if (flags.only !== undefined && !act.includes(flags.only)) continue;
    findings.push(await beside(act, 0));
    if (WITH_CONTROL.has(act)) findings.push(await beside(CONTROL, medianOf(findings[findings.length - 1], (round) => round.cpuShare)));
  }
} finally {
  await neighbour.leave();
  await pair.stop();
  await client.close();
  await server.stop();
}
const table = findingsTable();
console.log(`\n${table}`);
await mkdir(flags.out, { recursive: true });
await writeFile(`${flags.out}/fairness.json`, `${JSON.stringify(findings, undefined, 1)}\n`);
await writeFile(`${flags.out}/fairness.md`, `- machine: ${machineText()}\n\n${table}\n`);

async function beside(act: string, cpuShare: number): Promise<Finding> {
  const rounds: Round[] = [];
  for (let i = 0; i < flags.rounds; i++) {
    const alone = await modest();
    await neighbour.order({ what: "prepare", act, cpuShare });
    await delay(REST_MS);
    await server.loopHolds();
    const measured = modest();
    await delay(HEAD_START_MS);
    await neighbour.order({ what: "start", act, cpuShare });
    const besideIt = await measured;
    const holds = await server.loopHolds();
    const { cpuShare: used } = await neighbour.order({ what: "stop", act, cpuShare });
    rounds.push({ alone, beside: besideIt, holds, cpuShare: used });
    await delay(REST_MS);
  }
  const finding = { act, rounds };
  console.log(rowOf(finding));
  return finding;
}

async function modest(): Promise<Latency> {
  const { p50 = Number.NaN, p99 = Number.NaN } = await pair.round(ROUND_MS);
  return { p50Ms: p50, p99Ms: p99 };
}

function medianOf(finding: Finding | undefined, figure: (round: Round) => number): number {
  return median((finding?.rounds ?? []).map(figure));
}

function findingsTable(): string {
  const head = ["beside", "p50 alone, ms", "p50 beside, ms", "beside / alone", "p99 alone, ms", "p99 beside, ms", "beside / alone", "processor of the neighbour", "longest turn, ms of processor", "longest turn, ms by the clock", "turns over 5 ms", "longest collection, ms"];
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...findings.map(rowOf)].join("\n");
}

function rowOf(finding: Finding): string {
  const of = (figure: (round: Round) => number): number => medianOf(finding, figure);
  const cells = [
    of(({ alone }) => alone.p50Ms),
    of((round) => round.beside.p50Ms),
    of((round) => round.beside.p50Ms / round.alone.p50Ms),
    of(({ alone }) => alone.p99Ms),
    of((round) => round.beside.p99Ms),
    of((round) => round.beside.p99Ms / round.alone.p99Ms),
    of((round) => round.cpuShare),
    of((round) => round.holds.longestCpuMs),
    of((round) => round.holds.longestMs),
    of((round) => round.holds.overSlice),
    of((round) => round.holds.collectionMs),
  ];
  return `| ${finding.act} | ${cells.map(figureText).join(" | ")} |`;
}
