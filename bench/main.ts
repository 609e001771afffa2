/**
 * Tidemark beside its peers and beside the bare limits of its stack: one run, the same payloads, durability and client language,
 * everybody in turn. `npm run bench -- --help` says what there is.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Contestant, NotInstalled } from "./contestants/contestant.js";
import { startNats } from "./contestants/nats.js";
import { startRabbitmq } from "./contestants/rabbitmq.js";
import { startRedis } from "./contestants/redis.js";
import { startTidemark } from "./contestants/tidemark.js";
import { startLimits } from "./limits/limits.js";
import { FULL, plan, QUICK } from "./plan.js";
import { belowFloors, hasFloor } from "./floors.js";
import { barChart } from "./report/chart.js";
import { machineText } from "./report/machine.js";
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
  readonly rounds?: string;
  readonly seconds?: string;
  readonly out: string;
}

const program = new Command("bench")
  .description("Measures Tidemark, its peers and the bare limits of its stack, interleaved in one run.")
  .option("--quick", "fewer and shorter rounds, smaller backlogs", false)
  .option("--peers <names>", `comma-separated: ${Object.keys(PEERS).join(", ")}; none for the bare limits alone`, Object.keys(PEERS).join(","))
  .option("--only <text>", "only measures whose name contains this")
  .option("--floors", "only the measures that have a floor; fails when one falls below it", false)
  .option("--rounds <n>", "rounds that count (default: 5, with --quick 3)")
  .option("--seconds <n>", "how long a cell that goes by time takes (default: 3, with --quick 1)")
  .option("--out <folder>", "where results.json, results.md and results.svg go", fileURLToPath(new URL("../.cache/bench", import.meta.url)));
const flags = program.parse().opts<Flags>();
const rounds = Number(flags.rounds ?? (flags.quick ? 3 : 5));
const cellMs = 1_000 * Number(flags.seconds ?? (flags.quick ? 1 : 3));

const started: { stop(): Promise<void>; resume(): void }[] = [];
const outcomes: Outcome[] = [];
try {
  const peers = await startPeers(flags.peers.split(",").filter((name) => name !== "" && name !== "none"));
  const tidemark = await startTidemark();
  started.push(tidemark);
  const limits = await startLimits();
  started.push({ stop: () => limits.stop(), resume: () => undefined });
  const contestants = [tidemark, ...peers];
  const facts = [`machine: ${machineText()}`, `${rounds} rounds, cells of ${cellMs} ms, interleaved, whoever does not run is frozen`, ...contestants.map(({ name, durability, versions }) => `${name}: ${durability}; ${versions}`)];
  for (const fact of facts) console.log(fact);
  for (const contestant of contestants) contestant.pause();
  for (const measure of plan(tidemark, peers, limits, flags.quick ? QUICK : FULL)) {
    if ((flags.only !== undefined && !measure.name.includes(flags.only)) || (flags.floors && !hasFloor(measure.name))) continue;
    const outcome = await runRounds(measure, rounds, cellMs);
    outcomes.push(outcome);
    console.log(`\n${measureTable(outcome)}`);
  }
  await mkdir(flags.out, { recursive: true });
  await writeFile(`${flags.out}/results.json`, `${JSON.stringify({ facts, outcomes }, undefined, 1)}\n`);
  await writeFile(`${flags.out}/results.md`, `${facts.map((fact) => `- ${fact}`).join("\n")}\n\n${outcomes.map(measureTable).join("\n\n")}\n`);
  const rates = outcomes.filter(({ figures }) => figures[0]?.unit === "msgs/s");
  const [names, notDurable] = [contestants.map(({ name }) => name), contestants.filter(({ isDurable }) => !isDurable).map(({ name }) => name)];
  await writeFile(`${flags.out}/results.svg`, await barChart("Messages a second", rates, names, notDurable));
  console.log(`\n${flags.out} has results.json, results.md and results.svg`);
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
