/**
 * Tidemark beside its peers and beside the bare limits of its stack: one run, the same payloads, durability and client language,
 * everybody in turn. `npm run bench -- --help` says what there is.
 */
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { measuresOf, Party } from "./contestants/party.js";
import { belowFloors, hasFloor, withFloor } from "./floors.js";
import type { Measure } from "./measures/measure.js";
import { machineText } from "./report/machine.js";
import { Progress } from "./report/progress.js";
import { commitOf, record } from "./report/record.js";
import { benchFiles, type ReportFiles, writeFiles } from "./report/report.js";
import { measureTable } from "./report/table.js";
import { type Outcome, runRounds } from "./rounds.js";

const PEERS = ["nats", "nats-default", "redis", "rabbitmq"];

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
  .option("--peers <names>", `comma-separated: ${PEERS.join(", ")}; none for the bare limits alone`, PEERS.join(","))
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

const parties: Party[] = [];
try {
  const peers = flags.peers.split(",").filter((name) => name !== "" && name !== "none");
  for (const name of ["tidemark", ...peers, "limits"]) parties.push(await startParty(name));
  const contestants = parties.flatMap(({ hello: { facts } }) => facts ?? []);
  const facts = [
    `machine: ${machineText()}`,
    `${rounds} rounds, cells of ${cellMs / 1_000} s and more, interleaved, whoever does not run is frozen; each client in a process of its own; 128-byte payloads unless said`,
    ...contestants.map(({ name, durability, versions }) => `${name}: ${durability}; ${versions}`),
  ];
  for (const fact of facts) console.log(fact);
  const outcomes: Outcome[] = [];
  const report = (): Promise<ReportFiles> => benchFiles(facts, outcomes, contestants);
  for await (const outcome of runAll(selected(measuresOf(parties)))) {
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
  await Promise.all(parties.map((party) => party.stop()));
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

async function startParty(name: string): Promise<Party> {
  try {
    return await Party.start(name, flags.quick);
  } catch (error) {
    if (!PEERS.includes(name)) throw error;
    throw new Error(`${error instanceof Error ? error.message : String(error)}; or leave it out with --peers`, { cause: error });
  }
}
