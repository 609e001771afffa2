import type { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import { settingsOfSubscriber, type SubscriberSettings } from "./queue-settings.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** A durable subscriber as it was when the broker answered. */
export interface SubscriberInfo {
  readonly queue: string;
  readonly name: string;
  /** Event filters; empty: every event. */
  readonly events: readonly string[];
  /** Undefined if the broker did not say. */
  readonly createTime: Date | undefined;
  /** Everything up to it is settled or filtered out, durably. */
  readonly committedOffset: number;
  /** Messages that match and were not delivered yet. */
  readonly backlogCount: number;
  /** Delivered and without a verdict. */
  readonly inFlightCount: number;
  /** Waiting for the delay of a retry. */
  readonly waitingRetryCount: number;
  readonly deadLetterCount: number;
  /** Messages that expired before it had settled them, ever, as far as it came to them. */
  readonly expiredCount: number;
  /** Its open sessions. */
  readonly clientCount: number;
  /** Lanes that stand still behind a message that needs a decision; 0 where poison becomes a dead letter. */
  readonly blockedLaneCount: number;
  /** Messages that a purge or retention dropped before it had them in hand or settled, ever. */
  readonly droppedCount: number;
  /** What it sets itself. */
  readonly settings: SubscriberSettings;
  /** Nothing is delivered, until `resumeTime` or until somebody ends it. */
  readonly paused: boolean;
  /** When the pause ends by itself; undefined: it does not. */
  readonly resumeTime: Date | undefined;
  /** When the oldest message that it has not settled was published, about; undefined: there is none. */
  readonly oldestUnsettledTime: Date | undefined;
  /** When its last client left; undefined while one is connected, or when it never had one. */
  readonly lastClientTime: Date | undefined;
  /** When it is deleted if no client comes; undefined: it is not. */
  readonly expireTime: Date | undefined;
  /** What holds for it, after inheritance: everything is there that the broker knows. */
  readonly effectiveSettings: SubscriberSettings;
}

export function subscriberInfo(subscriber: Subscriber): SubscriberInfo {
  return {
    queue: subscriber.queue,
    name: subscriber.name,
    events: subscriber.events,
    createTime: optionalDate(subscriber.createTime),
    committedOffset: safeNumber(subscriber.committedOffset, "committed_offset"),
    backlogCount: safeNumber(subscriber.backlogCount, "backlog_count"),
    inFlightCount: safeNumber(subscriber.inFlightCount, "in_flight_count"),
    waitingRetryCount: safeNumber(subscriber.waitingRetryCount, "waiting_retry_count"),
    expiredCount: safeNumber(subscriber.expiredCount, "expired_count"),
    deadLetterCount: safeNumber(subscriber.deadLetterCount, "dead_letter_count"),
    clientCount: subscriber.clientCount,
    blockedLaneCount: safeNumber(subscriber.blockedLaneCount, "blocked_lane_count"),
    droppedCount: safeNumber(subscriber.droppedCount, "dropped_count"),
    settings: settingsOfSubscriber(subscriber.settings),
    paused: subscriber.paused,
    resumeTime: optionalDate(subscriber.resumeTime),
    oldestUnsettledTime: optionalDate(subscriber.oldestUnsettledTime),
    lastClientTime: optionalDate(subscriber.lastClientTime),
    expireTime: optionalDate(subscriber.expireTime),
    effectiveSettings: settingsOfSubscriber(subscriber.effectiveSettings),
  };
}

function optionalDate(time: Subscriber["createTime"]): Date | undefined {
  return time === undefined ? undefined : timestampToDate(time);
}
