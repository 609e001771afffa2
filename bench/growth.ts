/**
 * What stays the same as things grow: publish and delivery rate, their p99, start-up time and memory, along four axes. Each
 * axis has a server of its own and goes up step by step; the first step is what the others are compared with.
 * `npm run bench:growth -- --help` says what there is.
 */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { connect } from "../src/client/index.js";
import type { SubscribeOptions, Subscription, TidemarkClient } from "../src/client/index.js";
import { GrowingServer } from "./contestants/growing-server.js";
import { latencyOf } from "./measures/latency.js";
import { publishFor } from "./measures/publish.js";
import { topicOf } from "./contestants/tidemark.js";
import { machineText } from "./report/machine.js";
import { figureText } from "./report/table.js";
import { median } from "./rounds.js";

const PAYLOAD = Buffer.alloc(128, "x");
const EVENT = "bench.published";
const FILL_AT_ONCE = 1_000;
const FILLS_IN_FLIGHT = 16;
const PROBE = "probe";
const PROBE_MESSAGES = 50_000;
const ROUNDS = 3;
const PUBLISH_MS = 1_500;
const PACE_MS = 3_000;
/** Open streams a connection: what a server allows. */
const STREAMS_A_CONNECTION = 900;

/** What is found at one step. */
interface Step {
  readonly size: number;
  readonly publishPerSecond: number;
  readonly deliverPerSecond: number;
  readonly deliverP99Ms: number;
  readonly startMs: number;
  readonly privateMiB: number;
}

/** Along what things grow. */
interface Axis {
  readonly name: string;
  readonly sizes: readonly number[];
  /** Brings the server from one size to the next. */
  grow(client: TidemarkClient, server: GrowingServer, from: number, to: number): Promise<void>;
  readonly survivesRestart: boolean;
  /** Which queue the probe publishes to and reads from. */
  readonly probeQueue: string;
}

/** Those that keep streams open, until their axis is done. */
const idleClients: TidemarkClient[] = [];

interface Flags {
  readonly quick: boolean;
  readonly only?: string;
  readonly out: string;
}

const flags = new Command("growth")
  .description("Measures Tidemark as its backlog, queues, sleeping subscribers and open streams grow.")
  .option("--quick", "smaller steps", false)
  .option("--only <text>", "only axes whose name contains this")
  .option("--out <folder>", "where growth.json and growth.md go", fileURLToPath(new URL("../.cache/bench", import.meta.url)))
  .parse()
  .opts<Flags>();

const AXES: readonly Axis[] = [
  { name: "messages of backlog", sizes: flags.quick ? [1_000, 100_000, 1_000_000] : [1_000, 100_000, 1_000_000, 10_000_000], grow: growBacklog, survivesRestart: true, probeQueue: "backlog" },
  { name: "queues", sizes: flags.quick ? [1, 100] : [1, 10, 100, 1_000], grow: growQueues, survivesRestart: true, probeQueue: "queue-0" },
  { name: "sleeping subscribers", sizes: flags.quick ? [1, 100] : [1, 10, 100, 1_000], grow: growSleepers, survivesRestart: true, probeQueue: "sleepers" },
  { name: "open streams", sizes: flags.quick ? [1, 1_000] : [1, 100, 1_000, 10_000], grow: growStreams, survivesRestart: false, probeQueue: "streams" },
];

const sections: string[] = [`- machine: ${machineText()}`];
const results: Record<string, readonly Step[]> = {};
for (const axis of AXES) {
  if (flags.only !== undefined && !axis.name.includes(flags.only)) continue;
  const steps = await climb(axis);
  results[axis.name] = steps;
  const section = stepTable(axis, steps);
  sections.push(section);
  console.log(`\n${section}`);
}
await mkdir(flags.out, { recursive: true });
await writeFile(`${flags.out}/growth.json`, `${JSON.stringify(results, undefined, 1)}\n`);
await writeFile(`${flags.out}/growth.md`, `${sections.join("\n\n")}\n`);

async function climb(axis: Axis): Promise<readonly Step[]> {
  const server = await GrowingServer.start();
  const steps: Step[] = [];
  try {
    let from = 0;
    for (const size of axis.sizes) {
      const client = connect(server.address);
      await axis.grow(client, server, from, size);
      from = size;
      const found = await probe(client, axis.probeQueue);
      await client.close();
      const privateMiB = privateMemoryMiB(server.pid);
      // Streams do not outlive a restart; everything else does.
      const startMs = axis.survivesRestart ? await server.restart() : Number.NaN;
      steps.push({ size, ...found, startMs, privateMiB });
      console.log(`${axis.name}: ${size.toLocaleString("en-US")} done`);
    }
  } finally {
    for (const client of idleClients.splice(0)) await client.close();
    await server.stop();
  }
  return steps;
}

/** On a queue of its own, or on the one that has grown: full speed, then a backlog to read, then a pace of 1,000 a second. */
async function probe(client: TidemarkClient, queue: string): Promise<Omit<Step, "size" | "startMs" | "privateMiB">> {
  const topic = topicOf(client, queue);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    const published = await publishFor(topic, PAYLOAD, PUBLISH_MS);
    const publishPerSecond = (published * 1_000) / (performance.now() - started);
    rounds.push({ publishPerSecond, deliverPerSecond: await readNewest(client, queue, `${PROBE}-${round}`) });
  }
  const latency = await atHead(client, queue, `${PROBE}-pace`, () => latencyOf(topic, `${PROBE}-pace`, "deliver", 1_000, PACE_MS, PAYLOAD.length));
  return {
    publishPerSecond: median(rounds.map((round) => round.publishPerSecond)),
    deliverPerSecond: median(rounds.map((round) => round.deliverPerSecond)),
    deliverP99Ms: latency["p99"] ?? Number.NaN,
  };
}

/** Messages a second, of a backlog that begins at today's head, to a subscriber that acks each. */
async function readNewest(client: TidemarkClient, queue: string, subscriber: string): Promise<number> {
  return atHead(client, queue, subscriber, async () => {
    await fill(client, queue, PROBE_MESSAGES);
    const started = performance.now();
    let received = 0;
    for await (const delivery of client.subscribe(queue, { subscriber, maxInFlightMessages: 10_000 })) {
      delivery.ack();
      if (++received === PROBE_MESSAGES) break;
    }
    return (received * 1_000) / (performance.now() - started);
  });
}

/** Makes a subscriber that begins behind the newest message, for as long as `work` takes. */
async function atHead<T>(client: TidemarkClient, queue: string, subscriber: string, work: () => Promise<T>): Promise<T> {
  await makeSubscriber(client, queue, subscriber, "latest");
  const result = await work();
  await client.admin.deleteSubscriber(queue, subscriber);
  return result;
}

/** A subscriber that exists and is not there. */
async function makeSubscriber(client: TidemarkClient, queue: string, subscriber: string, from: "earliest" | "latest"): Promise<void> {
  const subscription = await openSubscription(client, queue, { subscriber, from, maxInFlightMessages: 1 });
  await subscription.close();
}

/** Resolves when the broker has opened it. */
function openSubscription(client: TidemarkClient, queue: string, options: SubscribeOptions): Promise<Subscription> {
  return new Promise((resolve, reject) => {
    const subscription: Subscription = client.subscribe(queue, {
      ...options,
      onEvent: ({ type }) => {
        if (type === "opened") resolve(subscription);
      },
    });
    subscription.next().catch(reject);
  });
}

async function growBacklog(client: TidemarkClient, _server: GrowingServer, from: number, to: number): Promise<void> {
  if (from === 0) await makeSubscriber(client, "backlog", "asleep", "earliest");
  await fill(client, "backlog", to - from);
}

async function growQueues(client: TidemarkClient, _server: GrowingServer, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await fill(client, `queue-${i}`, 100);
}

async function growSleepers(client: TidemarkClient, _server: GrowingServer, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await makeSubscriber(client, "sleepers", `sleeper-${i}`, "earliest");
}

async function growStreams(_client: TidemarkClient, server: GrowingServer, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    if (i % STREAMS_A_CONNECTION === 0) idleClients.push(connect(server.address));
    const client = idleClients[idleClients.length - 1];
    if (client !== undefined) await openSubscription(client, "idle", { subscriber: `stream-${i}` });
  }
}

async function fill(client: TidemarkClient, queue: string, count: number): Promise<void> {
  const messages = Array.from({ length: FILL_AT_ONCE }, () => ({ event: EVENT, payload: PAYLOAD }));
  let left = count;
  const filler = async (): Promise<void> => {
    while (left > 0) {
      const some = Math.min(left, FILL_AT_ONCE);
      left -= some;
      await client.publishBatch(queue, some === FILL_AT_ONCE ? messages : messages.slice(0, some));
    }
  };
  await Promise.all(Array.from({ length: FILLS_IN_FLIGHT }, filler));
}

/** What the process has for itself: pages of the store's file that are mapped belong to the system's cache. */
function privateMemoryMiB(pid: number): number {
  const kib = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1_024;
}

function stepTable({ name }: Axis, steps: readonly Step[]): string {
  const [first] = steps;
  const rows = steps.map((step) => {
    const against = (value: number, base: number | undefined): string => `${figureText(value)} (${figureText(value / (base ?? Number.NaN))})`;
    return `| ${step.size.toLocaleString("en-US")} | ${against(step.publishPerSecond, first?.publishPerSecond)} | ${against(step.deliverPerSecond, first?.deliverPerSecond)} | ${figureText(step.deliverP99Ms)} | ${figureText(step.startMs)} | ${figureText(step.privateMiB)} |`;
  });
  return [`### ${name}`, "", "| size | publish, msgs/s (of the first) | deliver, msgs/s (of the first) | deliver p99, ms | start, ms | private memory, MiB |", "| ---: | ---: | ---: | ---: | ---: | ---: |", ...rows].join("\n");
}
