import { BrokerError } from "../core/errors.js";
import { OffsetRanges } from "../core/offset-ranges.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Head, Log } from "../ports/log.js";
import type { SeekTarget } from "./seek-api.js";
import { findStart } from "./start-offset.js";
import type { FoundStart } from "./start-offset.js";

/** A place in the log: everything up to `after` counts as settled, and what is in `settled`, which lies beyond it. */
export interface Destination {
  readonly after: Offset;
  readonly settled: OffsetRanges;
}

/** A target of which it is known where in the log it is, as far as the log goes. */
export type FoundTarget = FoundStart | Extract<SeekTarget, { readonly kind: "restore" }>;

/** Finds a target in the log, if that has to be read for it. CHUNK_CORRUPT. */
export async function findTarget(target: SeekTarget, queue: string, log: Pick<Log, "head" | "headers">): Promise<FoundTarget> {
  return target.kind === "restore" ? target : findStart(target, { queue, log });
}

/** Where a target is in a log that begins and ends like this. BEYOND_HEAD, BEFORE_FIRST. */
export function destination(target: FoundTarget, queue: string, { first, next }: Head): Destination {
  const earliest = offset(first - 1);
  const latest = offset(next - 1);
  switch (target.kind) {
    case "earliest":
      return plain(earliest);
    case "latest":
      return plain(latest);
    case "found":
      return plain(offset(Math.max(target.offset, earliest)));
    case "after_offset":
      if (target.offset === 0) return plain(earliest);
      checkWithin("after_offset", target.offset, queue, earliest, latest);
      return plain(target.offset);
    case "restore": {
      const { committedOffset, settled } = target.position;
      const left = new OffsetRanges();
      for (const run of settled) left.add(run.first, run.last);
      // What is gone from the log and was settled is not missed.
      for (const hole of left.missing(offset(committedOffset + 1), earliest)) checkWithin("restore.committed_offset", offset(hole.first - 1), queue, earliest, latest, committedOffset);
      checkWithin("restore.committed_offset", offset(Math.max(committedOffset, earliest)), queue, earliest, latest, committedOffset);
      checkWithin("restore.settled", left.max ?? latest, queue, offset(0), latest);
      let after = Math.max(committedOffset, earliest);
      while (left.min !== undefined && left.min <= after + 1) {
        after = Math.max(after, left.run(0).last);
        left.remove(left.min, left.run(0).last);
      }
      return { after: offset(after), settled: left };
    }
  }
}

function plain(after: Offset): Destination {
  return { after, settled: new OffsetRanges() };
}

function checkWithin(field: string, at: Offset, queue: string, earliest: Offset, latest: Offset, said: Offset = at): void {
  if (earliest <= at && at <= latest) return;
  if (at > latest) {
    throw new BrokerError("BEYOND_HEAD", `${field} is ${said}, and the last message of queue ${queue} has offset ${latest}: seek to ${earliest} to ${latest}`, {
      field,
      value: String(said),
      limit: `${earliest} to ${latest}`,
    });
  }
  throw new BrokerError(
    "BEFORE_FIRST",
    `${field} is ${said}, and messages behind that are gone: the oldest one of queue ${queue} has offset ${earliest + 1}, so seek to ${earliest} to ${latest}`,
    { field, value: String(said), limit: `${earliest} to ${latest}` },
  );
}

/** A place in words, for people. */
export function positionText({ after, settled }: Destination): string {
  return settled.isEmpty ? `offset ${after}` : `offset ${after} and ${settled.size} settled beyond it`;
}
