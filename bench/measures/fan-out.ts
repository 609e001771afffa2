import { setTimeout as delay } from "node:timers/promises";
import type { Contestant } from "../contestants/contestant.js";
import { cellOf, type Cell, rate } from "./measure.js";
import { publishWhile } from "./publish.js";

const DRAIN_MS_MAX = 30_000;
/** The producer waits while its consumers are so many deliveries behind, all together: what is counted is the pace of all. */
const BEHIND_MAX = 100_000;

/** One producer at full speed, `subscribers` that each get and acknowledge everything, until the last has all. Counts deliveries. */
export function fanOutCell(contestant: Contestant, subscribers: number, payload: Buffer): Cell {
  let run = 0;
  return cellOf(contestant, async (ms) => {
    const topic = await contestant.topic(`fan-out-${subscribers}-${++run}`);
    const names = Array.from({ length: subscribers }, (_, i) => `s${i}`);
    for (const name of names) await topic.register(name);
    let received = 0;
    let wanted = Infinity;
    let complete: (() => void) | undefined;
    const onMessage = (): void => {
      if (++received >= wanted) complete?.();
    };
    const consumers = await Promise.all(names.map((subscriber) => topic.consume({ subscriber, acks: "batch", onMessage })));
    const started = performance.now();
    const goesOn = async (sent: number): Promise<boolean> => {
      while (sent * subscribers - received > BEHIND_MAX && performance.now() - started < ms) await delay(1);
      return performance.now() - started < ms;
    };
    wanted = (await publishWhile(topic, payload, goesOn)) * subscribers;
    if (received < wanted) {
      await new Promise<void>((resolve) => {
        complete = resolve;
        setTimeout(resolve, DRAIN_MS_MAX).unref();
      });
    }
    const figures = rate(received, started);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await topic.drop();
    if (received < wanted) throw new Error(`only ${received} of ${wanted} deliveries came within ${DRAIN_MS_MAX} ms of the last publish`);
    return figures;
  });
}
