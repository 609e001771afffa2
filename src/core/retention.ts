import type { Chunk } from "./chunk.js";
import { offset } from "./units.js";
import type { Offset, WallMs } from "./units.js";

/** UNTIL_ACKED: what every durable subscriber has settled goes. LOG: nothing goes but by the bounds. */
export type RetentionMode = "UNTIL_ACKED" | "LOG";

/** What gives way at `maxBytes` or `maxMessages`: the oldest messages, or those who publish. */
export type WhenFull = "DROP_OLDEST" | "REJECT_NEW";

/** How long and how much a queue keeps. Bounds hold in both modes; 0: there is none. */
export interface Retention {
  readonly mode: RetentionMode;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  readonly maxMessages: number;
  readonly whenFull: WhenFull;
}

/** What is there, of a log's head. */
export interface Kept {
  readonly messages: number;
  readonly bytes: number;
  readonly cumulativeMessages: number;
  readonly cumulativeBytes: number;
}

/** What has to go, in terms that the header of a chunk answers. */
export interface Excess {
  /** As many of the messages ever stored. */
  readonly goneMessages: number;
  /** Whatever begins within as many of the bytes ever stored. */
  readonly goneBytes: number;
  /** What is older than this. */
  readonly before: WallMs;
}

/** What gives way when nothing is said: readers of a log, publishers to a queue that is worked off. */
export function whenFullByMode(mode: RetentionMode): WhenFull {
  return mode === "LOG" ? "DROP_OLDEST" : "REJECT_NEW";
}

/**
 * What of a log is too much now. A chunk is as old as its newest message.
 * @param now by which messages age
 */
export function excessOf({ maxAgeMs, maxBytes, maxMessages, whenFull }: Retention, kept: Kept, now: number): Excess {
  const drops = whenFull === "DROP_OLDEST";
  return {
    goneMessages: drops && maxMessages > 0 ? Math.max(0, kept.cumulativeMessages - maxMessages) : 0,
    goneBytes: drops && maxBytes > 0 ? Math.max(0, kept.cumulativeBytes - maxBytes) : 0,
    before: (maxAgeMs > 0 ? now - maxAgeMs : -Infinity) as WallMs,
  };
}

/** Whether there are more messages or bytes than may be, and the oldest ones give way. */
export function isOverfull({ maxBytes, maxMessages, whenFull }: Retention, { messages, bytes }: Kept): boolean {
  return whenFull === "DROP_OLDEST" && ((maxMessages > 0 && messages > maxMessages) || (maxBytes > 0 && bytes > maxBytes));
}

/** Whether there may be anything to let go of, without looking at a header. */
export function mayExceed(retention: Retention, kept: Kept): boolean {
  return kept.messages > 0 && (retention.maxAgeMs > 0 || isOverfull(retention, kept));
}

/** The last offset that has to go, of consecutive headers beginning with the oldest message; undefined: nothing has to. */
export function excessThrough(headers: readonly Chunk[], excess: Excess): Offset | undefined {
  let through: Offset | undefined;
  for (const header of headers) {
    const count = excessIn(header, excess);
    if (count > 0) through = offset(header.first + count - 1);
    if (count < header.count) break;
  }
  return through;
}

/** How many messages of a chunk have to go, from its first on. */
function excessIn(header: Chunk, { goneMessages, goneBytes, before }: Excess): number {
  const { count, ends, lastTimeMs, cumulativeMessages, cumulativeBytes } = header;
  if (lastTimeMs < before) return count;
  const byNumber = goneMessages - (cumulativeMessages - count);
  const bytesOver = goneBytes - (cumulativeBytes - (ends[count - 1] ?? 0));
  return Math.min(count, Math.max(0, byNumber, bytesOver > 0 ? messagesWithin(ends, count, bytesOver) : 0));
}

/** How many messages begin within the first `bytes` of a body. */
function messagesWithin(ends: Uint32Array, count: number, bytes: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const start = middle === 0 ? 0 : (ends[middle - 1] as number);
    if (start < bytes) low = middle + 1;
    else high = middle;
  }
  return low;
}
