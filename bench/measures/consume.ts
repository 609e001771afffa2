import type { AckStyle, Contestant, Topic } from "../contestants/contestant.js";
import { cellOf, type Cell, type Figures } from "./measure.js";
import { publishWhile } from "./publish.js";

/** Bound on one reading of a backlog. */
const CONSUME_MS_MAX = 120_000;

/** Makes a queue with a backlog of `count` messages for the subscribers of these names. */
export async function backlog(contestant: Contestant, name: string, subscribers: readonly string[], count: number, payload: Buffer): Promise<Topic> {
  const topic = await contestant.topic(name);
  for (const subscriber of subscribers) await topic.register(subscriber);
  let left = count;
  await publishWhile(topic, payload, () => {
    left -= 100;
    return left >= 0;
  });
  return topic;
}

/** Reads a backlog of `count` messages, acknowledging each, or batches of them. */
export function consumeCell(contestant: Contestant, acks: AckStyle, count: number, payload: Buffer): Cell {
  let run = 0;
  return cellOf(contestant, async () => {
    const topic = await backlog(contestant, `consume-${acks}-${payload.length}-${++run}`, ["reader"], count, payload);
    const figures = await readAll(topic, ["reader"], acks, count);
    await topic.drop();
    return figures;
  });
}

/** Every one of these subscribers reads `count` messages; counts deliveries of all of them. */
export async function readAll(topic: Topic, subscribers: readonly string[], acks: AckStyle, count: number): Promise<Figures> {
  const wanted = count * subscribers.length;
  let received = 0;
  let complete: (() => void) | undefined;
  const all = new Promise<void>((resolve) => (complete = resolve));
  const started = performance.now();
  const onMessage = (): void => {
    if (++received === wanted) complete?.();
  };
  const consumers = await Promise.all(subscribers.map((subscriber) => topic.consume({ subscriber, acks, onMessage })));
  const late = setTimeout(() => complete?.(), CONSUME_MS_MAX);
  await all;
  clearTimeout(late);
  const ms = performance.now() - started;
  for (const consumer of consumers) await consumer.stop();
  if (received < wanted) throw new Error(`only ${received} of ${wanted} messages came within ${CONSUME_MS_MAX} ms`);
  return { perSecond: (received * 1_000) / ms };
}
