import type { DeliveryCause, SessionId, WaitingFor } from "./session.js";
import type { Offset, WallMs } from "./units.js";

/** Where a message stands with a subscriber, or what a subscriber is waiting for: see the contract's ExplainReason. */
export type ExplainReason =
  | "NOT_YET_STORED"
  | "NO_MESSAGE"
  | "FILTERED"
  | "ADDRESSED_ELSEWHERE"
  | "BEFORE_START"
  | "SETTLED"
  | "DEAD_LETTERED"
  | "EXPIRED"
  | "DROPPED_BY_RETENTION"
  | "PURGED"
  | "CORRUPT"
  | "IN_FLIGHT"
  | "ACK_PENDING"
  | "WAITING_FOR_RETRY"
  | "LANE_BLOCKED"
  | "UNSETTLED_LIMIT"
  | "WINDOW_FULL"
  | "SUBSCRIBER_PAUSED"
  | "CLIENTS_PAUSED"
  | "NO_CLIENT"
  | "BEHIND_BACKLOG"
  | "NOTHING_NEW"
  | "DELIVERING";

/** What is used of a bound. */
export interface WindowUse {
  readonly messagesUsed: number;
  readonly messagesAllowed: number;
  /** 0 where bytes are not bounded. */
  readonly bytesUsed: number;
  readonly bytesAllowed: number;
}

/** Who has a message. */
export interface Holder {
  readonly session: SessionId;
  readonly clientId: string;
  readonly batchId: number;
  readonly deliveryTimeMs: WallMs;
  /** Undefined under AUTO, and when it has given its verdict: there is no lease. */
  readonly leaseLeftMs: number | undefined;
}

/** What a lane stands still for. */
export interface LaneBlock {
  /** The earliest message of the lane that is not settled. */
  readonly blockingOffset: Offset;
  readonly blockingReason: ExplainReason;
  /** Somebody must decide. */
  readonly blockedByPoison: boolean;
}

/** Where a message stands, with the facts that belong to its reason. */
export interface Standing {
  readonly reason: ExplainReason;
  readonly attempt?: number;
  readonly deliveryCount?: number;
  readonly lastReason?: string;
  /** Why it comes again, if it does. */
  readonly cause?: DeliveryCause;
  readonly holder?: Holder;
  readonly retryTimeMs?: WallMs;
  readonly lane?: LaneBlock;
  readonly window?: WindowUse;
  readonly resumeTimeMs?: WallMs;
}

/** What one session of a subscriber is waiting for. */
export interface SessionStanding {
  readonly session: SessionId;
  readonly clientId: string;
  /** Undefined: something is on its way. */
  readonly waitingFor: WaitingFor | undefined;
  readonly window: WindowUse;
}

/** What a subscriber is waiting for. */
export interface SubscriberStanding {
  /** Everything that applies; first what to look at first. */
  readonly reasons: readonly ExplainReason[];
  readonly sessions: readonly SessionStanding[];
  /** The first message that is known not to be settled; undefined: none below what was never looked at. */
  readonly oldest: Offset | undefined;
  /** What is used of max_unsettled. */
  readonly unsettled: WindowUse;
  readonly resumeTimeMs: WallMs | undefined;
}
