/** What only Tidemark is asked: its own ways in and out, and what routing and order cost. */
import type { SubscribeOptions, TidemarkClient } from "../../src/client/index.js";
import type { Tidemark } from "../contestants/tidemark.js";
import { cellOf, type Cell, type Figures, rate } from "./measure.js";

const EVENT = "bench.published";
const BATCH_MESSAGES = 100;
const BATCHES_IN_FLIGHT = 16;
const FILL_MESSAGES = 1_000;
const FILLS_IN_FLIGHT = 8;
/** The kinds of events of which a filter takes one. */
const KINDS = 100;
const RETRIED_OF = 100;
const RETRY_DELAY_MS = 10;

/** A backlog of `count` messages. */
export interface Filling {
  readonly count: number;
  /** Event and key of the i-th message. */
  readonly message: (i: number) => { readonly event: string; readonly orderingKey?: string };
}

/** A backlog to read, and how: by which name it goes in the table. */
interface Reading extends Filling {
  readonly name: string;
  readonly ordered: boolean;
  /** Of the count, those that the reader gets. */
  readonly matching: number;
  readonly options: SubscribeOptions;
  /** One message of so many fails the first time and is done when it comes again. Default: none. */
  readonly retriedOf?: number;
}

/** Batches of 100 by PublishBatch. */
export function publishBatchCell(tidemark: Tidemark, payload: Buffer): Cell {
  return cellOf(tidemark, (ms) => publishBatches(tidemark.client, payload, ms));
}

/** The same backlog read whole, and through a filter that takes one message of a hundred; counts what the filter looked at. */
export function filterCells(tidemark: Tidemark, count: number, payload: Buffer): readonly Cell[] {
  const message = (i: number): { event: string } => ({ event: `bench.kind${i % KINDS}` });
  const backlog = { ordered: false, count, message };
  return [
    readingCell(tidemark, payload, { ...backlog, name: "no filter", matching: count, options: {} }),
    readingCell(tidemark, payload, { ...backlog, name: `a filter that takes 1 of ${KINDS}`, matching: count / KINDS, options: { events: ["bench.kind7"] } }),
  ];
}

/** The same backlog when all messages succeed, and when one of a hundred is retried once, a moment later. Counts what is settled. */
export function retryCells(tidemark: Tidemark, count: number, payload: Buffer): readonly Cell[] {
  const backlog = { ordered: false, count, matching: count, message: () => ({ event: EVENT }), options: {} };
  return [
    readingCell(tidemark, payload, { ...backlog, name: "no retries" }),
    readingCell(tidemark, payload, { ...backlog, name: `1 of ${RETRIED_OF} retried after ${RETRY_DELAY_MS} ms`, retriedOf: RETRIED_OF }),
  ];
}

/** An ordered queue with so many keys, and so many messages of one key on their way at once. */
export function orderedCell(tidemark: Tidemark, keys: number, depth: number, count: number, payload: Buffer): Cell {
  return readingCell(tidemark, payload, {
    name: `${keys.toLocaleString("en-US")} ${keys === 1 ? "key" : "keys"}, depth ${depth}`,
    ordered: true,
    count,
    matching: count,
    message: (i) => ({ event: EVENT, orderingKey: `key-${i % keys}` }),
    options: depth === 1 ? {} : { maxInFlightPerLane: depth },
  });
}

/** Ten queues under everything at once. */
export function mixedCell(tidemark: Tidemark, payload: Buffer): Cell {
  let run = 0;
  return cellOf(tidemark, (ms) => mixed(tidemark.client, `mixed-${++run}`, payload, ms));
}

function readingCell(tidemark: Tidemark, payload: Buffer, reading: Reading): Cell {
  const { client } = tidemark;
  let run = 0;
  const cell = cellOf(tidemark, async (ms) => {
    const queue = `${reading.name.replace(/[^a-z0-9]+/gi, "-")}-${++run}`;
    await client.admin.createQueue(queue, { ordered: reading.ordered });
    await fill(client, queue, reading, payload);
    const figures = await read(client, queue, reading, ms);
    await client.admin.deleteQueue(queue);
    return figures;
  });
  return { ...cell, contestant: reading.name };
}

/** Fills a queue, some batches at a time. */
export async function fill(client: TidemarkClient, queue: string, { count, message }: Filling, payload: Buffer): Promise<void> {
  let filled = 0;
  const filler = async (): Promise<void> => {
    while (filled < count) {
      const first = filled;
      filled += FILL_MESSAGES;
      await client.publishBatch(queue, Array.from({ length: Math.min(FILL_MESSAGES, count - first) }, (_, i) => ({ ...message(first + i), payload })));
    }
  };
  await Promise.all(Array.from({ length: FILLS_IN_FLIGHT }, filler));
}

/** Reads and settles until all that match have come, or the time is over. */
async function read(client: TidemarkClient, queue: string, { options, matching, count, retriedOf = Infinity }: Reading, ms: number): Promise<Figures> {
  const started = performance.now();
  const subscription = client.subscribe(queue, { subscriber: "reader", maxInFlightMessages: 10_000, ...options });
  let received = 0;
  let figures: Figures | undefined;
  const finish = (): void => {
    figures ??= rate(received * (count / matching), started);
  };
  const timer = setTimeout(() => {
    finish();
    subscription.drain();
  }, ms);
  for await (const delivery of subscription) {
    if (delivery.offset % retriedOf === 0 && delivery.attempt === 1) {
      delivery.retry(RETRY_DELAY_MS);
      continue;
    }
    delivery.ack();
    if (++received === matching) break;
  }
  clearTimeout(timer);
  finish();
  if (figures === undefined || received === 0) throw new Error(`no message came within ${ms} ms`);
  return figures;
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
