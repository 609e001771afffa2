import { BrokerError } from "../core/errors.js";
import type { StartPoint } from "../core/session.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import { LogCorrupt } from "../ports/log.js";
import type { Log } from "../ports/log.js";
import { chunkCorrupt, firstSince } from "./log-headers.js";

/** The log that somebody begins in, and its queue. */
interface StartLog<Methods extends keyof Log> {
  readonly queue: string;
  readonly log: Pick<Log, Methods>;
}

/** A start of which it is known where in the log it is, as far as the log goes. */
export type FoundStart = Exclude<StartPoint, { readonly kind: "from_time" }> | { readonly kind: "found"; readonly offset: Offset };

/** Finds a start in the log, if that has to be read for it. CHUNK_CORRUPT. */
export async function findStart(start: StartPoint, { queue, log }: StartLog<"head" | "headers">): Promise<FoundStart> {
  return start.kind === "from_time" ? { kind: "found", offset: await lastBefore(start.timeMs, queue, log) } : start;
}

/** The last offset before the first message published at this time or later; the head when there is none. CHUNK_CORRUPT. */
export async function lastBefore(timeMs: WallMs, queue: string, log: Pick<Log, "head" | "headers">): Promise<Offset> {
  try {
    // The messages of a chunk share one time: they were published in one batch.
    return offset((await firstSince(log, timeMs, log.head().next)) - 1);
  } catch (error) {
    throw error instanceof LogCorrupt ? chunkCorrupt(queue, error) : error;
  }
}

/**
 * The offset after which a start begins. BEYOND_HEAD when that was never published.
 * @param message who says so in the request
 */
export function startOffset(start: FoundStart, message: string, { queue, log }: StartLog<"head">): Offset {
  const { first, next } = log.head();
  if (start.kind === "earliest") return offset(first - 1);
  if (start.kind === "latest") return offset(next - 1);
  // What was dropped meanwhile, or before, is not missed: nobody asked for it.
  if (start.kind === "found") return offset(Math.max(start.offset, first - 1));
  if (start.offset >= next) {
    throw new BrokerError("BEYOND_HEAD", `start_after_offset is ${start.offset}, and the last message of queue ${queue} has offset ${next - 1}`, {
      field: `${message}.start_after_offset`,
      value: String(start.offset),
      limit: `${first - 1} to ${next - 1}`,
    });
  }
  return start.offset;
}
