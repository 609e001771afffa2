/**
 * Tidemark beside its peers and beside the bare limits of its stack: one run, the same payloads, durability and client language,
 * everybody in turn. `npm run bench -- --help` says what there is.
 */
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Contestant, NotInstalled } from "./contestants/contestant.js";
import { startNats } from "./contestants/nats.js";
import { startRabbitmq } from "./contestants/rabbitmq.js";
import { startRedis } from "./contestants/redis.js";
import { startTidemark } from "./contestants/tidemark.js";
import { belowFloors, hasFloor, withFloor } from "./floors.js";
import { startLimits } from "./limits/limits.js";
import type { Measure } from "./measures/measure.js";
import { FULL, plan, QUICK } from "./plan.js";
import { machineText } from "./report/machine.js";
import { Progress } from "./report/progress.js";
import { commitOf, record } from "./report/record.js";
import { benchFiles, type ReportFiles, writeFiles } from "./report/report.js";
import { measureTable } from "./report/table.js";
import { type Outcome, runRounds } from "./rounds.js";

const PEERS = {
  nats: () => startNats("always"),
  "nats-default": () => startNats("default"),
  redis: startRedis,
  rabbitmq: startRabbitmq,
} as const;

interface Flags {
  readonly quick: boolean;
  readonly peers: string;
  readonly only?: string;
  readonly floors: boolean;
  readonly rounds: string;
  readonly seconds: string;
  readonly out: string;
  readonly record: boolean;
}

const program = new Command("bench")
  .description("Measures Tidemark, its peers and the bare limits of its stack, interleaved in one run.")
  .option("--quick", "smaller backlogs", false)
  .option("--peers <names>", `comma-separated: ${Object.keys(PEERS).join(", ")}; none for the bare limits alone`, Object.keys(PEERS).join(","))
  .option("--only <text>", "only measures whose name contains this")
  .option("--floors", "only the measures that have a floor; fails when one falls below it", false)
  .option("--rounds <n>", "rounds that count", "5")
  .option("--seconds <n>", "how long most cells take", "1")
  .option("--out <folder>", "where results.json, results.md and results.svg go", fileURLToPath(new URL("../.cache/bench", import.meta.url)))
  .option("--record", "also keep the results in bench/results, under the date and the commit", false);
const flags = program.parse().opts<Flags>();
const rounds = Number(flags.rounds);
const cellMs = 1_000 * Number(flags.seconds);
if (!(rounds >= 1 && cellMs > 0)) program.error("--rounds and --seconds are numbers above zero");
if (flags.record && (flags.only !== undefined || (flags.quick && !flags.floors))) program.error("--record keeps whole runs: the full one, or --quick --floors");
const commit = flags.record ? commitOf() : undefined;

const started: { stop(): Promise<void>; resume(): void }[] = [];
try {
  const peers = await startPeers(flags.peers.split(",").filter((name) => name !== "" && name !== "none"));
  const tidemark = await startTidemark();
  started.push(tidemark);
  const limits = await startLimits();
  started.push({ stop: () => limits.stop(), resume: () => undefined });
  const contestants = [tidemark, ...peers];
  const facts = [
    `machine: ${machineText()}`,
    `${rounds} rounds, cells of ${cellMs / 1_000} s and more, interleaved, whoever does not run is frozen; 128-byte payloads unless said`,
    ...contestants.map(({ name, durability, versions }) => `${name}: ${durability}; ${versions}`),
  ];
  for (const fact of facts) console.log(fact);
  for (const contestant of contestants) contestant.pause();
  const outcomes: Outcome[] = [];
  const report = (): Promise<ReportFiles> => benchFiles(facts, outcomes, contestants);
  for await (const outcome of runAll(selected(plan(tidemark, peers, limits, flags.quick ? QUICK : FULL)))) {
    outcomes.push(outcome);
    // Whoever ends a long run early keeps what there is so far.
    await writeFiles(flags.out, "results", await report());
  }
  console.log(`\n${flags.out} has results.json, results.md and results.svg`);
  const files = await report();
  if (commit !== undefined) await record(commit, flags.floors ? "floors" : "bench", files);
  if (flags.floors) {
    const fallen = belowFloors(outcomes);
    for (const line of fallen) console.error(`below its floor: ${line}`);
    if (fallen.length > 0) process.exitCode = 1;
  }
} finally {
  for (const each of started) {
    each.resume();
    await each.stop();
  }
}

function selected(measures: readonly Measure[]): readonly Measure[] {
  const named = measures.filter(({ name }) => flags.only === undefined || name.includes(flags.only));
  return flags.floors ? named.filter(({ name }) => hasFloor(name)).map(withFloor) : named;
}

async function* runAll(measures: readonly Measure[]): AsyncIterable<Outcome> {
  const progress = new Progress(measures, rounds, cellMs);
  for (const measure of measures) {
    console.log(`\n${progress.text(measure)}`);
    const outcome = await runRounds(measure, rounds, cellMs);
    progress.done(measure);
    console.log(measureTable(outcome));
    yield outcome;
  }
}

async function startPeers(names: readonly string[]): Promise<readonly Contestant[]> {
  const peers: Contestant[] = [];
  for (const name of names) {
    const start = Object.entries(PEERS).find(([known]) => known === name)?.[1];
    if (start === undefined) throw new Error(`there is no peer ${name}; there are ${Object.keys(PEERS).join(", ")}`);
    try {
      const peer = await start();
      started.push(peer);
      peers.push(peer);
    } catch (error) {
      if (!(error instanceof NotInstalled)) throw error;
      throw new Error(`${error.message}; or leave it out with --peers`, { cause: error });
    }
  }
  return peers;
}
