import type { Contestant } from "./contestants/contestant.js";
import type { Tidemark } from "./contestants/tidemark.js";
import type { Limits } from "./limits/limits.js";
import { consumeCell } from "./measures/consume.js";
import { fanOutCell } from "./measures/fan-out.js";
import { LATENCY, latencyCell } from "./measures/latency.js";
import { type Measure, RATE } from "./measures/measure.js";
import { nativeCells } from "./measures/native-unary.js";
import { ownCells } from "./measures/own.js";
import { pipelinedCell, publishCell } from "./measures/publish.js";

const SMALL = 128;
const KIB = 1_024;

/** How large things are: `quick` is for a first look and for the floors. */
export interface Sizes {
  readonly backlog: number;
  /** Of slower peers and larger payloads. */
  readonly smallBacklog: number;
}

export const FULL: Sizes = { backlog: 1_000_000, smallBacklog: 100_000 };
export const QUICK: Sizes = { backlog: 100_000, smallBacklog: 20_000 };

/** Everything that is measured, in order. */
export function plan(tidemark: Tidemark, peers: readonly Contestant[], limits: Limits, sizes: Sizes): readonly Measure[] {
  const everybody = [tidemark, ...peers];
  const payload = Buffer.alloc(SMALL, "x");
  const own = ownCells(tidemark);
  const publish = [1, 64, 256].map((callers) => ({
    name: `publish, ${callers === 1 ? "one caller" : `${callers} callers`}`,
    figures: RATE,
    cells: [...everybody.map((each) => publishCell(each, callers, payload)), limits.echo(callers, payload), limits.streamToDisk(callers === 1 ? 1 : 2, Math.max(1, callers / 2), payload)],
  }));
  const sized = [KIB, 64 * KIB].map((bytes) => ({
    name: `publish, pipelined, ${bytes / KIB} KiB`,
    figures: RATE,
    cells: everybody.map((each) => pipelinedCell(each, Buffer.alloc(bytes, "x"))),
  }));
  const consume = (["each", "batch"] as const).map((acks) => ({
    name: acks === "each" ? "consume a backlog, ack each" : "consume a backlog, ack by the hundred",
    figures: RATE,
    cells: [...everybody.map((each) => consumeCell(each, acks, sizes.backlog, payload)), limits.framesDown(payload)],
  }));
  return [
    ...publish,
    { name: "publish, pipelined", figures: RATE, cells: [...everybody.map((each) => pipelinedCell(each, payload)), limits.streamToDisk(16, 1_000, payload)] },
    ...sized,
    { name: "PublishBatch of 100, 16 on their way", figures: RATE, cells: [own.publishBatch(payload), limits.streamToDisk(16, 100, payload)] },
    { name: "unary Publish, native client, 64 on their way", figures: RATE, cells: nativeCells(tidemark, limits, payload) },
    ...consume,
    { name: "consume a backlog of 1 KiB, ack each", figures: RATE, cells: everybody.map((each) => consumeCell(each, "each", sizes.smallBacklog, Buffer.alloc(KIB, "x"))) },
    ...[1, 10, 100].map((subscribers) => ({
      name: `fan-out to ${subscribers}`,
      figures: RATE,
      cells: [...everybody.map((each) => fanOutCell(each, subscribers, payload)), limits.framesDown(payload)],
    })),
    { name: "delivery at 1,000 messages a second", figures: LATENCY, cells: everybody.map((each) => latencyCell(each, "deliver", 1_000, SMALL)) },
    { name: "delivery at 20,000 messages a second", figures: LATENCY, cells: everybody.filter(keepsUp).map((each) => latencyCell(each, "deliver", 20_000, SMALL)) },
    { name: "answer to a publish at 1,000 messages a second", figures: LATENCY, cells: everybody.map((each) => latencyCell(each, "answer", 1_000, SMALL)) },
    { name: "answer to a publish at 20,000 messages a second", figures: LATENCY, cells: everybody.filter(keepsUp).map((each) => latencyCell(each, "answer", 20_000, SMALL)) },
    { name: "Tidemark: messages a filter looks at", figures: RATE, cells: [own.unfiltered(sizes.backlog, payload), own.filtered(sizes.backlog, payload)] },
    { name: "Tidemark: an ordered queue", figures: RATE, cells: [1, 100, 10_000].flatMap((keys) => [1, 100].map((depth) => own.ordered(keys, depth, sizes.smallBacklog, payload))) },
    { name: "Tidemark: mixed load on ten queues", figures: RATE, cells: [own.mixed(payload)] },
  ];
}

/** Whoever syncs for every message cannot follow 20,000 a second on a usual disk; its latency would be its queue's. */
function keepsUp({ name }: Contestant): boolean {
  return name !== "NATS JetStream, sync always";
}
