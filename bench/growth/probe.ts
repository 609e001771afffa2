import type { TidemarkClient } from "../../src/client/index.js";
import { topicOf } from "../contestants/tidemark.js";
import { latencyOf } from "../measures/latency.js";
import { publishWhile } from "../measures/publish.js";
import { median } from "../rounds.js";
import { type Axis, makeSubscriber } from "./axes.js";

const PAYLOAD = Buffer.alloc(128, "x");
const MESSAGES = 50_000;
const ROUNDS = 5;
/** They come first and do not count: the server has just started, and what it runs is compiled while it runs. */
const WARM_ROUNDS = 3;
const PACE_PER_SECOND = 1_000;
const PACE_MS = 2_000;
const READ_MS_MAX = 30_000;

/** What a probe adds to its queue. */
export const PROBE_MESSAGES = (WARM_ROUNDS + ROUNDS) * MESSAGES;

/** A figure of the server that has grown, and the same of the one that has not, from the same seconds. */
export interface Beside {
  readonly grown: number;
  readonly small: number;
}

/** What is found at one size. */
export interface Found {
  readonly publishPerSecond: Beside;
  readonly publishP99Ms: Beside;
  readonly deliverPerSecond: Beside;
  readonly deliverP99Ms: Beside;
}

/** Full speed in, then out, some times, both servers in turn; then a pace at which a wait is not that of a queue. */
export async function probe(grown: TidemarkClient, small: TidemarkClient, axis: Axis): Promise<Found> {
  const rates: Record<"grown" | "small", Rates[]> = { grown: [], small: [] };
  for (let round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
    const found = { grown: await ratesOf(grown, axis, `probe-${round}`), small: await ratesOf(small, axis, `probe-${round}`) };
    if (round < WARM_ROUNDS) continue;
    rates.grown.push(found.grown);
    rates.small.push(found.small);
  }
  const medians = (figure: keyof Rates): Beside => ({ grown: median(rates.grown.map((each) => each[figure])), small: median(rates.small.map((each) => each[figure])) });
  const paced = async (way: "answer" | "deliver"): Promise<Beside> => ({ grown: await p99(grown, axis.probeQueue, way), small: await p99(small, axis.probeQueue, way) });
  return {
    publishPerSecond: medians("publishPerSecond"),
    publishP99Ms: await paced("answer"),
    deliverPerSecond: medians("deliverPerSecond"),
    deliverP99Ms: await paced("deliver"),
  };
}

interface Rates {
  readonly publishPerSecond: number;
  readonly deliverPerSecond: number;
}

async function ratesOf(client: TidemarkClient, { probeQueue: queue, probeFrom: from }: Axis, subscriber: string): Promise<Rates> {
  await makeSubscriber(client, queue, subscriber, from);
  const started = performance.now();
  const sent = await publishWhile(topicOf(client, queue), PAYLOAD, (count) => count < MESSAGES);
  const publishPerSecond = (sent * 1_000) / (performance.now() - started);
  const deliverPerSecond = await read(client, queue, subscriber);
  await client.admin.deleteSubscriber(queue, subscriber);
  return { publishPerSecond, deliverPerSecond };
}

/** Messages a second, of those that wait for this subscriber, each acked. */
async function read(client: TidemarkClient, queue: string, subscriber: string): Promise<number> {
  const started = performance.now();
  let received = 0;
  for await (const delivery of client.subscribe(queue, { subscriber, maxInFlightMessages: 10_000 })) {
    delivery.ack();
    if (++received === MESSAGES) return (received * 1_000) / (performance.now() - started);
    if (performance.now() - started > READ_MS_MAX) throw new Error(`only ${received} of ${MESSAGES} messages came within ${READ_MS_MAX} ms`);
  }
  throw new Error(`the subscription was over after ${received} messages`);
}

async function p99(client: TidemarkClient, queue: string, way: "answer" | "deliver"): Promise<number> {
  const subscriber = `pace-${way}`;
  await makeSubscriber(client, queue, subscriber, "latest");
  const figures = await latencyOf(topicOf(client, queue), subscriber, way, PACE_PER_SECOND, PACE_MS, PAYLOAD.length);
  await client.admin.deleteSubscriber(queue, subscriber);
  return figures["p99"] ?? Number.NaN;
}
