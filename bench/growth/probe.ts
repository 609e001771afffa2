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
const WARM_ROUNDS = 4;
const PACE_PER_SECOND = 1_000;
const PACE_MS = 3_000;
const READ_MS_MAX = 30_000;

/** What a probe adds to its queue. */
export const PROBE_MESSAGES = (WARM_ROUNDS + ROUNDS) * MESSAGES;

/** What is found at one size. */
export interface Found {
  readonly publishPerSecond: number;
  readonly publishP99Ms: number;
  readonly deliverPerSecond: number;
  readonly deliverP99Ms: number;
}

/** Full speed in, then out, some times; then a pace at which a wait is not that of a queue. */
export async function probe(client: TidemarkClient, { probeQueue: queue, probeFrom: from }: Axis): Promise<Found> {
  const topic = topicOf(client, queue);
  const publishes: number[] = [];
  const deliveries: number[] = [];
  for (let round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
    const subscriber = `probe-${round}`;
    await makeSubscriber(client, queue, subscriber, from);
    const started = performance.now();
    const sent = await publishWhile(topic, PAYLOAD, (count) => count < MESSAGES);
    const publishPerSecond = (sent * 1_000) / (performance.now() - started);
    const deliverPerSecond = await read(client, queue, subscriber);
    await client.admin.deleteSubscriber(queue, subscriber);
    if (round < WARM_ROUNDS) continue;
    publishes.push(publishPerSecond);
    deliveries.push(deliverPerSecond);
  }
  return {
    publishPerSecond: median(publishes),
    publishP99Ms: await p99(client, queue, "answer"),
    deliverPerSecond: median(deliveries),
    deliverP99Ms: await p99(client, queue, "deliver"),
  };
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
