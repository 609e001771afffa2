import type { Contestant } from "./contestants/contestant.js";
import type { Tidemark } from "./contestants/tidemark.js";
import type { Limits } from "./limits/limits.js";
import { consumeCells } from "./measures/consume.js";
import { fanOutCell } from "./measures/fan-out.js";
import { LATENCY, latencyCell, type Way } from "./measures/latency.js";
import { type Cell, cellNotRun, type FigureKind, type Measure, RATE } from "./measures/measure.js";
import { nativeCell, nativeEchoCell } from "./measures/native-unary.js";
import { filterCells, mixedCell, orderedCell, publishBatchCell, retryCells } from "./measures/own.js";
import { pipelinedCell, publishCell } from "./measures/publish.js";
import { PULLS, pullsCell } from "./measures/pulls.js";
import { SCHEDULES, schedulesCell } from "./measures/schedules.js";

const KIB = 1_024;
const SMALL = Buffer.alloc(128, "x");
const MIDDLE = Buffer.alloc(KIB, "x");
const LARGE = Buffer.alloc(64 * KIB, "x");

/** What a rate of reading means depends on how much there was to read. */
const READING: readonly FigureKind[] = [...RATE, { name: "backlog", unit: "messages" }];

/** How large things are: `quick` is for a first look and for the floors. */
export interface Sizes {
  readonly backlog: number;
  /** Of an ordered queue. */
  readonly orderedBacklog: number;
}

export const FULL: Sizes = { backlog: 1_000_000, orderedBacklog: 100_000 };
export const QUICK: Sizes = { backlog: 100_000, orderedBacklog: 20_000 };

/** Who is measured in this process: one of them. */
export interface Parties {
  readonly tidemark?: Tidemark;
  readonly peer?: Contestant;
  /** What the stack itself can do. */
  readonly limits?: Limits;
}

/** Everything that is measured, in order, with the cells of these parties; there may be none. */
export function plan({ tidemark, peer, limits }: Parties, sizes: Sizes): readonly Measure[] {
  const everybody = [tidemark, peer].filter((each) => each !== undefined);
  const all = (cell: (contestant: Contestant) => Cell): readonly Cell[] => everybody.map(cell);
  const ours = (cells: (own: Tidemark) => readonly Cell[]): readonly Cell[] => (tidemark === undefined ? [] : cells(tidemark));
  const bare = (cells: (of: Limits) => readonly Cell[]): readonly Cell[] => (limits === undefined ? [] : cells(limits));
  const framesDown = (payload: Buffer): readonly Cell[] => bare((of) => [of.framesDown(payload)]);
  const publish = (callers: number): Measure => ({
    name: `publish, ${callers === 1 ? "one caller" : `${callers} callers`}`,
    figures: RATE,
    cells: [...all((each) => publishCell(each, callers, SMALL)), ...bare((of) => [of.echo(callers, SMALL), of.streamToDisk(callers === 1 ? 1 : 2, Math.max(1, callers / 2), SMALL)])],
  });
  const pipelined = (size: string, payload: Buffer, frames: number, frameMessages: number): Measure => ({
    name: `publish, pipelined${size}`,
    figures: RATE,
    cells: [...all((each) => pipelinedCell(each, payload)), ...bare((of) => [of.streamToDisk(frames, frameMessages, payload)])],
  });
  const readers = everybody.map((each) => consumeCells(each, sizes.backlog, SMALL));
  const consume = (size: string, payload: Buffer): Measure => ({
    name: `consume a backlog${size}, ack each`,
    figures: READING,
    lasts: 2,
    cells: [...all((each) => consumeCells(each, sizes.backlog, payload)("each")), ...framesDown(payload)],
  });
  const fanOut = (subscribers: number): Measure => ({
    name: `fan-out to ${subscribers}`,
    figures: RATE,
    cells: [...all((each) => fanOutCell(each, subscribers, SMALL)), ...framesDown(SMALL)],
  });
  const latency = (name: string, way: Way, perSecond: number): Measure => ({
    name: `${name} at ${perSecond.toLocaleString("en-US")} messages a second`,
    figures: LATENCY,
    lasts: 2,
    cells: all((each) => (perSecond > 1_000 && each.syncsAlone ? cellNotRun(each, "syncs for each message alone, and cannot follow") : latencyCell(each, way, perSecond, SMALL.length))),
  });
  return [
    ...[1, 64, 256].map(publish),
    pipelined("", SMALL, 10, 1_000),
    pipelined(", 1 KiB", MIDDLE, 10, 800),
    pipelined(", 64 KiB", LARGE, 8, 15),
    { name: "PublishBatch of 100, 16 on their way", figures: RATE, cells: [...ours((own) => [publishBatchCell(own, SMALL)]), ...bare((of) => [of.streamToDisk(16, 100, SMALL)])] },
    { name: "unary Publish, native client, 64 on their way", figures: RATE, cells: [...ours((own) => [nativeCell(own, SMALL)]), ...bare((of) => [nativeEchoCell(of, SMALL)])] },
    { name: "consume a backlog, ack each", figures: READING, lasts: 2, cells: [...readers.map((cell) => cell("each")), ...framesDown(SMALL)] },
    { name: "consume a backlog, ack by the hundred", figures: READING, lasts: 2, cells: [...readers.map((cell) => cell("batch")), ...framesDown(SMALL)] },
    consume(" of 1 KiB", MIDDLE),
    consume(" of 64 KiB", LARGE),
    ...[1, 10, 100].map(fanOut),
    ...[1_000, 20_000].map((perSecond) => latency("delivery", "deliver", perSecond)),
    ...[1_000, 20_000].map((perSecond) => latency("answer to a publish", "answer", perSecond)),
    { name: "Tidemark: messages a filter looks at", figures: RATE, cells: ours((own) => filterCells(own, sizes.backlog, SMALL)) },
    { name: "Tidemark: an ordered queue", figures: RATE, cells: ours((own) => [1, 100, 10_000].flatMap((keys) => [1, 100].map((depth) => orderedCell(own, keys, depth, sizes.orderedBacklog, SMALL)))) },
    { name: "Tidemark: a backlog with retries", figures: RATE, cells: ours((own) => retryCells(own, sizes.backlog, SMALL)) },
    { name: "Tidemark: schedules, 64 callers", figures: SCHEDULES, cells: ours((own) => [schedulesCell(own, SMALL)]) },
    { name: "Tidemark: pulls of 100, settled by range", figures: PULLS, cells: ours((own) => [1, 16].map((callers) => pullsCell(own, callers, sizes.backlog, SMALL))) },
    { name: "Tidemark: mixed load on ten queues", figures: RATE, cells: ours((own) => [mixedCell(own, SMALL)]) },
  ];
}
