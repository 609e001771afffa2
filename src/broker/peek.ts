import type { Chunk } from "../core/chunk.js";
import { messageBytes } from "../core/chunk.js";
import { BrokerError } from "../core/errors.js";
import type { EventFilter } from "../core/event-filter.js";
import { LIMITS } from "../core/limits.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import { LogCorrupt, LogOutOfRange } from "../ports/log.js";
import type { Log, ReadLimit } from "../ports/log.js";
import type { Turns } from "../ports/turns.js";
import { chunkCorrupt, firstSince, nextTurn } from "./log-headers.js";

/** One read: a full chunk, or as many small ones. Others get their turn after each. */
const READ_BYTES = 256 * 1024;
const READ_MESSAGES = 512;
/** Headers looked at one by one, going back, before others get their turn. */
const HEADERS_AT_ONCE = 64;

/** Where a peek begins. */
export type PeekStart =
  | { readonly kind: "earliest" }
  /** With this offset, or the first message after it. */
  | { readonly kind: "offset"; readonly offset: Offset }
  /** With the first message published at this time or later. */
  | { readonly kind: "time"; readonly timeMs: WallMs }
  /** With the message that has this many matching ones behind it, itself included. */
  | { readonly kind: "last"; readonly count: number };

/** What a peek asks for; every value in range. */
export interface PeekQuery {
  readonly start: PeekStart;
  readonly filter: EventFilter;
  readonly maxMessages: number;
  /** Of messages as stored. One message always passes. */
  readonly maxBytes: number;
}

/** What a peek found. The bytes of the parts are shared and read-only. */
export interface PeekPage {
  /** Ascending. May be empty although there is more. */
  readonly parts: readonly DeliveryPart[];
  /** Where to go on; 0: what was the end when the call came was reached. */
  readonly nextOffset: Offset;
  /** The oldest message; headOffset + 1 when there is none. */
  readonly firstOffset: Offset;
  readonly headOffset: Offset;
}

/** Where a peek looks. */
export interface PeekParts {
  /** For errors. */
  readonly queue: string;
  readonly log: Log;
  readonly turns: Turns;
  /** The oldest message that is there for readers, as of now. */
  readonly first: () => Offset;
}

/**
 * Answers messages of a log and leaves no trace: no lease, no position. A call looks at LIMITS.peekChunksMax chunks and reads
 * LIMITS.peekReadBytesMax of bodies at most, and bodies only of chunks in which the filter takes an event; then it answers what
 * it has, and where to go on.
 *
 * BrokerError BEYOND_HEAD for an offset that is not yet there, CHUNK_CORRUPT when what comes next cannot be read.
 */
export async function peek(parts: PeekParts, query: PeekQuery): Promise<PeekPage> {
  const end = parts.log.head().next;
  try {
    const from = await startOffset(parts, query, end);
    const page = new PageInTheMaking(query);
    const reached = await fill(page, parts, from, end);
    const firstOffset = offset(Math.min(parts.first(), end));
    return { parts: page.parts, nextOffset: reached < end ? reached : offset(0), firstOffset, headOffset: offset(end - 1) };
  } catch (error) {
    if (error instanceof LogCorrupt) throw chunkCorrupt(parts.queue, error);
    throw error;
  }
}

async function startOffset({ queue, log, turns, first }: PeekParts, { start, filter }: PeekQuery, end: Offset): Promise<Offset> {
  switch (start.kind) {
    case "earliest":
      return first();
    case "offset":
      if (start.offset > end) throw beyondHead(queue, start.offset, first(), end);
      return start.offset;
    case "time":
      // The messages of a chunk share one time: they were published in one batch.
      return firstSince(log, start.timeMs, end);
    case "last":
      return filter.takesEverything ? offset(end - start.count) : startOfLast({ log, turns, first }, filter, start.count, end);
  }
}

/** Where the last `count` matching messages begin, or the last ones that LIMITS.peekBackChunksMax chunks hold. */
async function startOfLast({ log, turns, first }: Pick<PeekParts, "log" | "turns" | "first">, filter: EventFilter, count: number, end: Offset): Promise<Offset> {
  let left = count;
  let from = end;
  for (let chunks = 1; chunks <= LIMITS.peekBackChunksMax && from > first(); chunks++) {
    const [chunk] = await log.headers(offset(from - 1), 1);
    if (chunk === undefined || chunk.first >= from) break;
    const takes = takenEvents(chunk, filter);
    if (takes.includes(true)) {
      for (let index = from - 1 - chunk.first; index >= 0; index--) {
        if (takes[chunk.eventIndex[index] ?? 0] === true && --left === 0) return offset(chunk.first + index);
      }
    }
    from = chunk.first;
    if (chunks % HEADERS_AT_ONCE === 0) await nextTurn(turns);
  }
  return from;
}

/** Reads on until the page is full, the end is reached, or a bound of the call is. Answers where to go on. */
async function fill(page: PageInTheMaking, { log, turns, first }: PeekParts, from: Offset, end: Offset): Promise<Offset> {
  let next = offset(Math.max(from, first()));
  const limit: ReadLimit = { maxMessages: READ_MESSAGES, maxBytes: READ_BYTES, wantsBody: (header) => page.wants(header) };
  for (let chunksLeft: number = LIMITS.peekChunksMax, bytesLeft: number = LIMITS.peekReadBytesMax; next < end && bytesLeft > 0; ) {
    const chunks = await readSome(log, next, limit, page);
    // Everything was trimmed meanwhile, or the page ends before what cannot be read.
    if (chunks === undefined) return next;
    if (chunks.length === 0) return end;
    for (const chunk of chunks) {
      if (chunk.first >= end) return end;
      const full = page.take(chunk, Math.max(0, next - chunk.first), Math.min(chunk.count, end - chunk.first));
      if (full !== undefined) return full;
      next = offset(chunk.last + 1);
      if (--chunksLeft === 0) return next;
      bytesLeft -= chunk.body?.length ?? 0;
    }
    await nextTurn(turns);
    next = offset(Math.max(next, first()));
  }
  return next;
}

/** Undefined: what is next cannot be read, and the page has something already. */
async function readSome(log: Log, from: Offset, limit: ReadLimit, page: PageInTheMaking): Promise<readonly Chunk[] | undefined> {
  for (let next = from; ; ) {
    try {
      return await log.read(next, limit);
    } catch (error) {
      if (error instanceof LogCorrupt && !page.isEmpty) return undefined;
      // It was trimmed since `first` was looked at.
      if (!(error instanceof LogOutOfRange)) throw error;
      next = error.first;
    }
  }
}

/** The messages taken so far, as stretches of chunks. */
class PageInTheMaking {
  readonly parts: DeliveryPart[] = [];
  private messages = 0;
  private bytes = 0;

  constructor(private readonly query: PeekQuery) {}

  get isEmpty(): boolean {
    return this.messages === 0;
  }

  wants(header: Chunk): boolean {
    return header.events.some((event) => this.query.filter.matches(event));
  }

  /** Takes what matches of the messages `from..to - 1`, by index. Answers the offset to go on from once it is full. */
  take(chunk: Chunk, from: number, to: number): Offset | undefined {
    if (chunk.body === undefined) return undefined;
    const { filter, maxMessages, maxBytes } = this.query;
    const takes = takenEvents(chunk, filter);
    let runStart = from;
    for (let index = from; index < to; index++) {
      if (takes[chunk.eventIndex[index] ?? 0] !== true) {
        this.close(chunk, runStart, index);
        runStart = index + 1;
        continue;
      }
      const bytes = messageBytes(chunk, index);
      const fits = this.messages === 0 || this.bytes + bytes <= maxBytes;
      if (fits) {
        this.messages++;
        this.bytes += bytes;
      }
      if (!fits || this.messages >= maxMessages || this.bytes >= maxBytes) {
        const end = fits ? index + 1 : index;
        this.close(chunk, runStart, end);
        return offset(chunk.first + end);
      }
    }
    this.close(chunk, runStart, to);
    return undefined;
  }

  private close(chunk: Chunk, firstIndex: number, end: number): void {
    if (end > firstIndex) this.parts.push({ chunk, firstIndex, count: end - firstIndex });
  }
}

/** For each name of a chunk's dictionary whether the filter takes it. */
function takenEvents(chunk: Chunk, filter: EventFilter): boolean[] {
  return chunk.events.map((event) => filter.matches(event));
}

function beyondHead(queue: string, asked: Offset, first: Offset, end: Offset): BrokerError {
  return new BrokerError("BEYOND_HEAD", `from_offset is ${asked}, and the last message of queue ${queue} has offset ${end - 1}: begin with ${first} to ${end}`, {
    field: "from_offset",
    value: String(asked),
    limit: `${first} to ${end}`,
  });
}
