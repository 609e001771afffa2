import type { Delivery, DeliveryRun, TidemarkClient } from "../../src/client/index.js";
import type { Tidemark } from "../contestants/tidemark.js";
import { cellOf, type Cell, type FigureKind, type Figures } from "./measure.js";
import { fill, type Filling } from "./own.js";

/** Messages that are settled, and the calls that it took: pulls and settles. */
export const PULLS: readonly FigureKind[] = [
  { name: "perSecond", unit: "msgs/s" },
  { name: "pulls and settles", unit: "calls/s" },
];

const PULLED = 100;

/** So many callers on one subscriber, each in turn pulling a hundred messages and settling them by range, in a session that it keeps. */
export function pullsCell(tidemark: Tidemark, callers: number, count: number, payload: Buffer): Cell {
  const backlog: Filling = { count, message: () => ({ event: "bench.published" }) };
  let run = 0;
  const cell = cellOf(tidemark, async (ms) => {
    const queue = `pulls-${callers}-${++run}`;
    await tidemark.client.admin.createQueue(queue, {});
    await fill(tidemark.client, queue, backlog, payload);
    const figures = await pullAll(tidemark.client, queue, callers, ms);
    await tidemark.client.admin.deleteQueue(queue);
    return figures;
  });
  return { ...cell, contestant: `${callers} ${callers === 1 ? "caller" : "callers"}` };
}

/** Until nothing is left or the time is over. */
async function pullAll(client: TidemarkClient, queue: string, callers: number, ms: number): Promise<Figures> {
  const started = performance.now();
  let messages = 0;
  let calls = 0;
  const caller = async (): Promise<void> => {
    let sessionId = "";
    while (performance.now() - started < ms) {
      const pulled = await client.pull(queue, { subscriber: "puller", maxMessages: PULLED, sessionId });
      sessionId = pulled.sessionId;
      calls++;
      if (pulled.deliveries.length === 0) return;
      const { failures } = await client.settle(sessionId, { acks: runsOf(pulled.deliveries) });
      const [failure] = failures;
      if (failure !== undefined) throw failure.error;
      calls++;
      messages += pulled.deliveries.length;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - started) / 1_000;
  return { perSecond: messages / seconds, "pulls and settles": calls / seconds };
}

/** One range a batch: without a filter a batch has all that lies between its ends. */
function runsOf(deliveries: readonly Delivery[]): readonly DeliveryRun[] {
  const runs = new Map<number, DeliveryRun>();
  for (const { batchId, offset } of deliveries) runs.set(batchId, { first: runs.get(batchId)?.first ?? offset, last: offset, batchId });
  return [...runs.values()];
}
