import type { TidemarkClient } from "../../src/client/index.js";
import type { Tidemark } from "../contestants/tidemark.js";
import { cellOf, type Cell, type FigureKind, type Figures } from "./measure.js";

/** Messages that are put off: how many are taken a second, and how many of those that are due at once come a second. */
export const SCHEDULES: readonly FigureKind[] = [
  { name: "accepted", unit: "msgs/s" },
  { name: "appended and delivered", unit: "msgs/s" },
];

const EVENT = "bench.published";
const CALLERS = 64;
/** Of the time of a cell, what publishing takes; the rest is for what was put off. */
const PUBLISHING = 0.5;
/** From the end of publishing until all of it is due: longer than the last answers take. */
const MARGIN_MS = 200;
const DELIVER_MS_MAX = 20_000;

/** 64 callers put messages off to one moment, in calls of their own; a subscriber waits for that moment. */
export function schedulesCell(tidemark: Tidemark, payload: Buffer): Cell {
  let run = 0;
  return cellOf(tidemark, async (ms) => {
    const queue = `schedules-${++run}`;
    await tidemark.client.admin.createQueue(queue, {});
    const figures = await putOff(tidemark.client, queue, payload, ms);
    await tidemark.client.admin.deleteQueue(queue);
    return figures;
  });
}

async function putOff(client: TidemarkClient, queue: string, payload: Buffer, ms: number): Promise<Figures> {
  const publishingMs = ms * PUBLISHING;
  const started = performance.now();
  const due = started + publishingMs + MARGIN_MS;
  const deliverTime = new Date(performance.timeOrigin + due);
  let accepted = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - started < publishingMs) {
      await client.publish(queue, { event: EVENT, payload, deliverTime });
      accepted++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const acceptedMs = performance.now() - started;
  const deliveredMs = (await allDelivered(client, queue, accepted)) - due;
  return { accepted: (accepted * 1_000) / acceptedMs, "appended and delivered": (accepted * 1_000) / deliveredMs };
}

/** Resolves with when the last of so many messages came. */
async function allDelivered(client: TidemarkClient, queue: string, count: number): Promise<number> {
  const subscription = client.subscribe(queue, { subscriber: "reader", maxInFlightMessages: 10_000 });
  const timer = setTimeout(() => {
    subscription.drain();
  }, DELIVER_MS_MAX);
  let received = 0;
  let last = Number.NaN;
  for await (const delivery of subscription) {
    delivery.ack();
    if (++received < count) continue;
    last = performance.now();
    break;
  }
  clearTimeout(timer);
  if (Number.isNaN(last)) throw new Error(`only ${received} of ${count} messages came within ${DELIVER_MS_MAX} ms`);
  return last;
}
