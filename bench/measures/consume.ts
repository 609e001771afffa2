import { setTimeout as delay } from "node:timers/promises";
import type { AckStyle, Contestant, Topic } from "../contestants/contestant.js";
import { cellOf, type Cell } from "./measure.js";
import { publishWhile } from "./publish.js";

/** How long a backlog is filled for one run; whoever is slower reads a smaller one, and the table says how large. */
const FILL_MS_MAX = 5_000;
/** The same for one that serves all runs. */
const KEPT_FILL_MS_MAX = 10_000;
const FILL_BYTES_MAX = 128 * 1024 * 1024;

/** A queue with messages that a subscriber has not read. */
interface Backlog {
  readonly topic: Topic;
  readonly subscriber: string;
  readonly count: number;
}

/** Cells that read a backlog of `count` messages, acknowledging each, or by the hundred. */
export function consumeCells(contestant: Contestant, count: number, payload: Buffer): (acks: AckStyle) => Cell {
  const wanted = Math.min(count, Math.floor(FILL_BYTES_MAX / payload.length));
  const name = `consume-${payload.length}`;
  let run = 0;
  let kept: Promise<Backlog> | undefined;
  const next = async (): Promise<Backlog> => {
    const subscriber = `reader-${++run}`;
    if (!contestant.keepsRead) return fill(contestant, `${name}-${run}`, subscriber, wanted, payload, FILL_MS_MAX);
    kept ??= fill(contestant, name, "filler", wanted, payload, KEPT_FILL_MS_MAX);
    const { topic, count: there } = await kept;
    await topic.register(subscriber);
    return { topic, subscriber, count: there };
  };
  return (acks) =>
    cellOf(contestant, async (ms) => {
      const backlog = await next();
      const perSecond = await read(backlog, acks, ms);
      if (!contestant.keepsRead) await backlog.topic.drop();
      return { perSecond, backlog: backlog.count };
    });
}

async function fill(contestant: Contestant, name: string, subscriber: string, wanted: number, payload: Buffer, msMax: number): Promise<Backlog> {
  const topic = await contestant.topic(name);
  await topic.register(subscriber);
  const until = performance.now() + msMax;
  const count = await publishWhile(topic, payload, (sent) => sent < wanted && performance.now() < until);
  return { topic, subscriber, count };
}

/** Messages a second, until all are read or the time is over. */
async function read({ topic, subscriber, count }: Backlog, acks: AckStyle, ms: number): Promise<number> {
  let received = 0;
  let complete: (() => void) | undefined;
  const all = new Promise<void>((resolve) => (complete = resolve));
  const started = performance.now();
  let ended = Number.NaN;
  const consumer = await topic.consume({
    subscriber,
    acks,
    onMessage: () => {
      if (!Number.isNaN(ended) || ++received < count) return;
      ended = performance.now();
      complete?.();
    },
  });
  await Promise.race([all, delay(ms, undefined, { ref: false })]);
  if (Number.isNaN(ended)) ended = performance.now();
  await consumer.stop();
  if (received === 0) throw new Error(`no message came within ${ms} ms`);
  return (received * 1_000) / (ended - started);
}
