import type { EventInfo as WireEvent } from "../../generated/tidemark/v1/queue.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** One event of a queue as it was when the broker answered, or at most 100 ms before. */
export interface EventInfo {
  /** Its name; `(other)` for all that the broker does not tell apart. */
  readonly event: string;
  readonly messageCount: number;
  /** The newest message. */
  readonly lastOffset: number;
  /** Of the newest message. Undefined if the broker did not say. */
  readonly lastPublishTime: Date | undefined;
  /** The durable subscribers that take it, by name, at most 100. Empty: nobody does. */
  readonly matchingSubscribers: readonly string[];
}

export function eventInfo(info: WireEvent): EventInfo {
  return {
    event: info.event,
    messageCount: safeNumber(info.messageCount, "message_count"),
    lastOffset: safeNumber(info.lastOffset, "last_offset"),
    lastPublishTime: info.lastPublishTime === undefined ? undefined : timestampToDate(info.lastPublishTime),
    matchingSubscribers: info.matchingSubscribers,
  };
}
