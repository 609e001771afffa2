import type { SeekSubscriberRequest, SeekSubscriberResponse } from "../../generated/tidemark/v1/admin_service.js";
import { StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import type { SubscriberPosition as WirePosition } from "../../generated/tidemark/v1/subscriber.js";
import { safeNumber } from "./safe-number.js";
import { dateToTimestamp } from "./wire-time.js";

/** Where a subscriber is. */
export interface SubscriberPosition {
  /** Everything up to it is settled or filtered out. */
  readonly committedOffset: number;
  /** Runs beyond it of which nothing is left to deliver, by growing offset. */
  readonly settled: readonly { readonly first: number; readonly last: number }[];
}

/**
 * Where to move a subscriber: to the oldest message, past the newest, past an offset (0: as "earliest"), to the first message
 * published at a time or later, or back to a position that an earlier seek answered as `previousPosition`.
 */
export type SeekTarget = "earliest" | "latest" | { readonly afterOffset: number } | { readonly time: Date } | { readonly restore: SubscriberPosition };

export interface SeekOptions {
  /** Only count; nothing is moved. Default: false. */
  readonly dryRun?: boolean;
}

/** What a seek did, or would do. */
export interface SoughtSubscriber {
  /** Where it was: `{ restore: previousPosition }` undoes the seek, as long as the messages are there. */
  readonly previousPosition: SubscriberPosition;
  readonly position: SubscriberPosition;
  /** Messages that match, and come again. */
  readonly repeatedCount: number;
  /** Messages that match, were not settled, and do not come any more. */
  readonly skippedCount: number;
}

export function seekRequest(queue: string, subscriber: string, to: SeekTarget, { dryRun = false }: SeekOptions): SeekSubscriberRequest {
  return { queue, subscriber, target: wireTarget(to), dryRun };
}

export function soughtSubscriber(response: SeekSubscriberResponse): SoughtSubscriber {
  return {
    previousPosition: position(response.previousPosition),
    position: position(response.position),
    repeatedCount: safeNumber(response.repeatedCount, "repeated_count"),
    skippedCount: safeNumber(response.skippedCount, "skipped_count"),
  };
}

function wireTarget(to: SeekTarget): SeekSubscriberRequest["target"] {
  if (to === "earliest") return { $case: "toPosition", value: StartPosition.EARLIEST };
  if (to === "latest") return { $case: "toPosition", value: StartPosition.LATEST };
  if ("time" in to) return { $case: "fromTime", value: dateToTimestamp(to.time) };
  if ("afterOffset" in to) return { $case: "afterOffset", value: BigInt(to.afterOffset) };
  const { committedOffset, settled } = to.restore;
  return { $case: "restore", value: { committedOffset: BigInt(committedOffset), settled: settled.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) })) } };
}

function position(wire: WirePosition | undefined): SubscriberPosition {
  return {
    committedOffset: safeNumber(wire?.committedOffset ?? 0n, "committed_offset"),
    settled: (wire?.settled ?? []).map(({ first, last }) => ({ first: safeNumber(first, "first"), last: safeNumber(last, "last") })),
  };
}
