/**
 * What stays the same as things grow: publish and delivery rate, their p99, start-up time and memory, along four axes. Each
 * axis has a server of its own that goes up step by step, and a second one that stays as small as the first step: both are probed in
 * turn, so that a slow minute of the machine is not taken for growth.
 * `npm run bench:growth -- --help` says what there is.
 */
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { connect } from "../src/client/index.js";
import type { TidemarkClient } from "../src/client/index.js";
import { AXES, type Axis } from "./growth/axes.js";
import { bareMemoryAtRest, GrowingServer, type Memory } from "./growth/growing-server.js";
import { type Beside, type Found, probe, PROBE_MESSAGES } from "./growth/probe.js";
import { machineText } from "./report/machine.js";
import { commitOf, record } from "./report/record.js";
import { jsonText, writeFiles } from "./report/report.js";
import { figureText } from "./report/table.js";

/** What is found at one step. */
interface Step extends Found {
  readonly size: number;
  readonly startMs: number;
  /** After a start, or with idle streams before anything is asked of them. */
  readonly privateMiBAtRest: number;
  readonly privateMiBAfterLoad: number;
}

interface Flags {
  readonly largest: string;
  readonly only?: string;
  readonly out: string;
  readonly record: boolean;
}

const program = new Command("growth")
  .description("Measures Tidemark as its backlog, queues, sleeping subscribers and open streams grow.")
  .option("--largest <n>", "leaves out steps that are larger", "Infinity")
  .option("--only <text>", "only axes whose name contains this")
  .option("--out <folder>", "where growth.json and growth.md go", fileURLToPath(new URL("../.cache/bench", import.meta.url)))
  .option("--record", "also keep the results in bench/results, under the date and the commit", false);
const flags = program.parse().opts<Flags>();
if (flags.record && (flags.only !== undefined || flags.largest !== "Infinity")) program.error("--record keeps whole runs");
const commit = flags.record ? commitOf() : undefined;

const facts = [
  `machine: ${machineText()}`,
  "messages of 128 bytes, fsync before the answer; rates are medians of five rounds of 50,000 messages; p99 at 1,000 messages a second; in brackets: of a server that has stayed at the first size, probed in turn (rates), or that server's (p99)",
  `the probe itself leaves up to ${PROBE_MESSAGES.toLocaleString("en-US")} messages in its queue at each step; it reads the backlog from its oldest message, elsewhere what it has just published`,
  "start: from the process to the first connection, on what the killed server before it has left; memory: what is private to the process, not mapped",
];
for (const fact of facts) console.log(fact);
const sections: string[] = [];
const results: Record<string, readonly Step[]> = {};
const idle = await idleMemory();
console.log(idle.text);
for (const axis of AXES.filter(({ name }) => flags.only === undefined || name.includes(flags.only))) {
  const steps = await climb(axis);
  results[axis.name] = steps;
  sections.push(stepTable(axis, steps));
  console.log(`\n${stepTable(axis, steps)}`);
}
const files = { json: jsonText({ facts, idle: idle.figures, results }), md: `${[...facts, idle.text].map((fact) => `- ${fact}`).join("\n")}\n\n${sections.join("\n\n")}\n` };
await writeFiles(flags.out, "growth", files);
if (commit !== undefined) await record(commit, "growth", files);

async function climb(axis: Axis): Promise<readonly Step[]> {
  const [server, small] = [await GrowingServer.start(), await GrowingServer.start()];
  const [held, heldSmall]: [TidemarkClient[], TidemarkClient[]] = [[], []];
  const steps: Step[] = [];
  const smallClient = connect(small.address);
  try {
    await axis.grow(smallClient, 0, axis.sizes[0] ?? 0, heldSmall);
    let from = 0;
    for (const size of axis.sizes.filter((each) => each <= Number(flags.largest))) {
      const client = connect(server.address);
      await axis.grow(client, from, size, held);
      from = size;
      // Streams do not outlive a restart; everything else does.
      const startMs = axis.survivesRestart ? await server.restart() : Number.NaN;
      const { privateMiB: privateMiBAtRest } = await server.memoryAtRest();
      if (axis.survivesRestart) await small.restart();
      const found = await probe(client, smallClient, axis);
      steps.push({ size, ...found, startMs, privateMiBAtRest, privateMiBAfterLoad: server.memory.privateMiB });
      await client.close();
      console.log(`${axis.name}: ${size.toLocaleString("en-US")} done`);
    }
  } finally {
    for (const client of [...held, ...heldSmall, smallClient]) await client.close();
    await server.stop();
    await small.stop();
  }
  return steps;
}

async function idleMemory(): Promise<{ readonly figures: { readonly tidemark: Memory; readonly bare: Memory }; readonly text: string }> {
  const server = await GrowingServer.start();
  const [tidemark, bare] = [await server.memoryAtRest(), await bareMemoryAtRest()];
  await server.stop();
  const beside = (figure: keyof Memory): string => `${figureText(tidemark[figure])} MiB, ${figureText(tidemark[figure] / bare[figure])} of the ${figureText(bare[figure])} MiB of a bare grpc-js server`;
  return { figures: { tidemark, bare }, text: `idle process: resident ${beside("residentMiB")}; private ${beside("privateMiB")}` };
}

function stepTable({ name }: Axis, steps: readonly Step[]): string {
  const rate = ({ grown, small }: Beside): string => `${figureText(grown)} (${figureText(grown / small)})`;
  const time = ({ grown, small }: Beside): string => `${figureText(grown)} (${figureText(small)})`;
  const rows = steps.map((step) => [
    step.size.toLocaleString("en-US"),
    rate(step.publishPerSecond),
    time(step.publishP99Ms),
    rate(step.deliverPerSecond),
    time(step.deliverP99Ms),
    figureText(step.startMs),
    figureText(step.privateMiBAtRest),
    figureText(step.privateMiBAfterLoad),
  ]);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const head = ["size", "publish, msgs/s", "p99, ms", "deliver, msgs/s", "p99, ms", "start, ms", "memory at rest, MiB", "after the load, MiB"];
  return [`### ${name}`, "", line(head), line(head.map(() => "---:")), ...rows.map(line)].join("\n");
}
