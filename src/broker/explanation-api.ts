import type { ExplainReason, SessionStanding, Standing, WindowUse } from "../core/explanation.js";
import type { Offset, WallMs } from "../core/units.js";

/** Where one message stands with one subscriber. Facts that do not belong to the reason are not there. */
export interface MessageExplanation extends Standing {
  readonly subscriber: string;
  readonly sentence: string;
  /** The address of the holder's client. */
  readonly holderPeer?: string;
  /** Of the message's lane. */
  readonly orderingKey?: string;
  /** The filter that does not take it. */
  readonly events?: readonly string[];
  readonly settleTimeMs?: WallMs;
  /** When it expires, or has expired. */
  readonly expireTimeMs?: WallMs;
  /** Matching messages that come before it. */
  readonly aheadCount?: number;
  readonly headOffset?: Offset;
  readonly firstOffset?: Offset;
  /** Why it became a dead letter. */
  readonly deadLetterReason?: string;
}

/** What one session is waiting for. */
export interface SessionExplanation extends SessionStanding {
  readonly sentence: string;
}

/** What a subscriber is waiting for. */
export interface SubscriberExplanation {
  /** Everything that applies; first what to look at first. */
  readonly reasons: readonly ExplainReason[];
  readonly sentence: string;
  readonly sessions: readonly SessionExplanation[];
  readonly committedOffset: Offset;
  readonly headOffset: Offset;
  readonly backlogCount: number;
  /** Where its oldest unsettled message stands; undefined: it has none. */
  readonly oldest: { readonly offset: Offset; readonly explanation: MessageExplanation } | undefined;
  readonly unsettled: WindowUse;
}
