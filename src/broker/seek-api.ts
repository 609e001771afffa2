import type { OffsetRun, StartPoint } from "../core/session.js";
import type { Offset } from "../core/units.js";

/** How an edge moves a subscriber. */
export interface SeekApi {
  /**
   * Moves a durable subscriber, for open sessions at once; durable when it resolves. BEYOND_HEAD, BEFORE_FIRST,
   * SUBSCRIBER_NOT_FOUND; CHUNK_CORRUPT when a time is looked for among what cannot be read; SUBSCRIPTION_MOVED when it is not
   * known to have happened.
   */
  seekSubscriber(request: SeekRequest): Promise<SeekOutcome>;
}

/** Where a subscriber is to go on. */
export type SeekTarget =
  | StartPoint
  /** Where it was. */
  | { readonly kind: "restore"; readonly position: SubscriberPosition };

export interface SeekRequest {
  readonly queue: string;
  readonly subscriber: string;
  readonly target: SeekTarget;
  /** Only counts. */
  readonly dryRun: boolean;
}

/** Where a subscriber is. */
export interface SubscriberPosition {
  /** Everything up to it is settled or filtered out. */
  readonly committedOffset: Offset;
  /** Runs beyond it of which nothing is left, ascending; LIMITS.positionRunsMax at most. */
  readonly settled: readonly OffsetRun[];
}

export interface SeekOutcome {
  /** Where it was. */
  readonly previous: SubscriberPosition;
  /** Where it is, or would be. */
  readonly position: SubscriberPosition;
  /** Matching messages that come again. */
  readonly repeatedCount: number;
  /** Matching messages that do not come any more. */
  readonly skippedCount: number;
}
