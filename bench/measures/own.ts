/** What only Tidemark is asked: its own ways in and out, and what routing and order cost. */
import { connect } from "../../src/client/index.js";
import type { SubscribeOptions, TidemarkClient } from "../../src/client/index.js";
import type { Tidemark } from "../contestants/tidemark.js";
import { cellOf, type Cell, type Figures, rate } from "./measure.js";

const EVENT = "bench.published";
const BATCH_MESSAGES = 100;
const BATCHES_IN_FLIGHT = 16;
const FILL_AT_ONCE = 1_000;
const READ_MS_MAX = 120_000;

/** One client for all cells here: the contestant's own is not exposed. */
export function ownCells(tidemark: Tidemark): {
  readonly publishBatch: (payload: Buffer) => Cell;
  readonly filtered: (count: number, payload: Buffer) => Cell;
  readonly unfiltered: (count: number, payload: Buffer) => Cell;
  readonly ordered: (keys: number, depth: number, count: number, payload: Buffer) => Cell;
  readonly mixed: (payload: Buffer) => Cell;
  close(): Promise<void>;
} {
  const client = connect(tidemark.address);
  let run = 0;
  const reading = (name: string, queue: { readonly ordered: boolean }, fill: (i: number) => { event: string; orderingKey?: string }, options: SubscribeOptions, count: number, wanted: number, payload: Buffer): Cell =>
    ({
      ...cellOf(tidemark, async () => {
        const name = `own-${++run}`;
        await client.admin.createQueue(name, queue);
        for (let first = 0; first < count; first += FILL_AT_ONCE) {
          const messages = Array.from({ length: Math.min(FILL_AT_ONCE, count - first) }, (_, i) => ({ ...fill(first + i), payload }));
          await client.publishBatch(name, messages);
        }
        const figures = await read(client, name, options, wanted);
        await client.admin.deleteQueue(name);
        return figures;
      }),
      contestant: name,
    });
  return {
    publishBatch: (payload) => ({ ...cellOf(tidemark, (ms) => publishBatches(client, payload, ms)), contestant: "Tidemark" }),
    unfiltered: (count, payload) => reading("every event", { ordered: false }, () => ({ event: EVENT }), {}, count, count, payload),
    filtered: (count, payload) =>
      reading("a filter that takes 1 of 100", { ordered: false }, (i) => ({ event: `bench.kind${i % 100}` }), { events: ["bench.kind7"] }, count, Math.floor(count / 100), payload),
    ordered: (keys, depth, count, payload) =>
      reading(`${keys.toLocaleString("en")} keys, depth ${depth}`, { ordered: true }, (i) => ({ event: EVENT, orderingKey: `key-${i % keys}` }), { ...depthOption(depth) }, count, count, payload),
    mixed: (payload) => ({ ...cellOf(tidemark, (ms) => mixed(client, `mixed-${++run}`, payload, ms)), contestant: "Tidemark" }),
    close: () => client.close(),
  };
}

function depthOption(depth: number): SubscribeOptions {
  return depth === 1 ? {} : { maxInFlightPerLane: depth };
}

async function publishBatches(client: TidemarkClient, payload: Buffer, ms: number): Promise<Figures> {
  const messages = Array.from({ length: BATCH_MESSAGES }, () => ({ event: EVENT, payload }));
  const started = performance.now();
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - started < ms) {
      await client.publishBatch("own-batches", messages);
      done += BATCH_MESSAGES;
    }
  };
  await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, caller));
  return rate(done, started);
}

/** Reads and acks until so many have come; the rate counts those. */
async function read(client: TidemarkClient, queue: string, options: SubscribeOptions, wanted: number): Promise<Figures> {
  const started = performance.now();
  let received = 0;
  for await (const delivery of client.subscribe(queue, { subscriber: "reader", maxInFlightMessages: 10_000, ...options })) {
    delivery.ack();
    if (++received === wanted) break;
    if (performance.now() - started > READ_MS_MAX) throw new Error(`only ${received} of ${wanted} messages came within ${READ_MS_MAX} ms`);
  }
  return rate(received, started);
}

/** Ten queues, each with a publisher that waits for every tenth answer and two subscribers, one of them with a filter, that ack each. Counts publishes and deliveries. */
async function mixed(client: TidemarkClient, name: string, payload: Buffer, ms: number): Promise<Figures> {
  const queues = Array.from({ length: 10 }, (_, i) => `${name}-${i}`);
  let done = 0;
  const subscriptions = queues.flatMap((queue) => [client.subscribe(queue, { subscriber: "all" }), client.subscribe(queue, { subscriber: "some", events: ["bench.kind1"] })]);
  const readers = subscriptions.map(async (subscription) => {
    for await (const delivery of subscription) {
      delivery.ack();
      done++;
    }
  });
  const started = performance.now();
  const publisher = async (queue: string): Promise<void> => {
    for (let i = 0; performance.now() - started < ms; i++) {
      const sent = client.publish(queue, { event: `bench.kind${i % 10}`, payload });
      done++;
      if (i % 10 === 0) await sent;
    }
  };
  await Promise.all(queues.map(publisher));
  const figures = rate(done, started);
  for (const subscription of subscriptions) await subscription.close();
  await Promise.all(readers);
  for (const queue of queues) await client.admin.deleteQueue(queue);
  return figures;
}
