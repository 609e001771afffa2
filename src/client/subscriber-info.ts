import type { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import { safeNumber } from "./safe-number.js";
import { durationToMs, timestampToDate } from "./wire-time.js";

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
  /** Its open sessions. */
  readonly clientCount: number;
  /** How long a delivery may go without a verdict; 0 if the broker did not say. */
  readonly ackTimeoutMs: number;
  /** The retry of which attempt makes a dead letter; 0 if the broker did not say. */
  readonly maxAttempts: number;
}

export function subscriberInfo(subscriber: Subscriber): SubscriberInfo {
  const settings = subscriber.effectiveSettings;
  return {
    queue: subscriber.queue,
    name: subscriber.name,
    events: subscriber.events,
    createTime: subscriber.createTime === undefined ? undefined : timestampToDate(subscriber.createTime),
    committedOffset: safeNumber(subscriber.committedOffset, "committed_offset"),
    backlogCount: safeNumber(subscriber.backlogCount, "backlog_count"),
    inFlightCount: safeNumber(subscriber.inFlightCount, "in_flight_count"),
    waitingRetryCount: safeNumber(subscriber.waitingRetryCount, "waiting_retry_count"),
    deadLetterCount: safeNumber(subscriber.deadLetterCount, "dead_letter_count"),
    clientCount: subscriber.clientCount,
    ackTimeoutMs: settings?.ackTimeout === undefined ? 0 : durationToMs(settings.ackTimeout),
    maxAttempts: settings?.maxAttempts ?? 0,
  };
}
