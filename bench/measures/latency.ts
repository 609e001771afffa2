import type { Contestant, Topic } from "../contestants/contestant.js";
import { asError, cellOf, type Cell, type FigureKind, type Figures } from "./measure.js";

export const LATENCY: readonly FigureKind[] = [
  { name: "p50", unit: "ms" },
  { name: "p99", unit: "ms" },
  { name: "p99.9", unit: "ms" },
];

const STAMP_BYTES = 8;
const SETTLE_MS_MAX = 20_000;

/** What is timed: until the consumer has the message, or until the publisher has the answer. */
export type Way = "deliver" | "answer";

/** `perSecond` messages at an even pace, on a queue of their own. */
export function latencyCell(contestant: Contestant, way: Way, perSecond: number, payloadBytes: number): Cell {
  let run = 0;
  return cellOf(contestant, async (ms) => {
    const topic = await contestant.topic(`latency-${way}-${perSecond}-${++run}`);
    await topic.register("reader");
    const figures = await latencyOf(topic, "reader", way, perSecond, ms, payloadBytes);
    await topic.drop();
    return figures;
  });
}

/** `perSecond` messages at an even pace; each carries when it was handed to the client. */
export async function latencyOf(topic: Topic, subscriber: string, way: Way, perSecond: number, ms: number, payloadBytes: number): Promise<Figures> {
  const samples: number[] = [];
  let sent = 0;
  let received = 0;
  const consumer = await topic.consume({
    subscriber,
    acks: "batch",
    onMessage: (payload) => {
      received++;
      if (way === "deliver") samples.push(performance.now() - Buffer.from(payload.buffer, payload.byteOffset, STAMP_BYTES).readDoubleLE());
    },
  });
  let failure: unknown;
  const send = (): void => {
    const payload = Buffer.alloc(payloadBytes);
    const at = performance.now();
    payload.writeDoubleLE(at);
    sent++;
    topic.publish(payload).then(
      () => {
        if (way === "answer") samples.push(performance.now() - at);
      },
      (error: unknown) => {
        failure ??= error;
      },
    );
  };
  await paced(perSecond, ms, send);
  const until = performance.now() + SETTLE_MS_MAX;
  while (received < sent && failure === undefined && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
  await consumer.stop();
  if (failure !== undefined) throw asError(failure);
  if (received < sent) throw new Error(`only ${received} of ${sent} messages came`);
  return quantiles(samples);
}

/** Calls `f` so often, evenly, for so long; catches up after a pause of the process, as a real producer's clock would. */
export async function paced(perSecond: number, ms: number, f: () => void): Promise<void> {
  const started = performance.now();
  for (let done = 0; ; ) {
    const passed = performance.now() - started;
    if (passed >= ms) return;
    for (const due = Math.floor((passed * perSecond) / 1_000); done < due; done++) f();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The figures of LATENCY. */
export function quantiles(samples: number[]): Figures {
  const sorted = samples.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), "p99.9": at(0.999) };
}
