import type { SubscriberInfo } from "../client/index.js";
import { countText, timeText } from "./quantity.js";
import { settingsJson } from "./queue-settings.js";

/** Filters as one line. */
export function eventsText(events: readonly string[]): string {
  return events.length === 0 ? "every event" : events.join(" ");
}

/** How many clients it has, or since when it has had none. */
export function clientsText({ clientCount, lastClientTime }: SubscriberInfo): string {
  return lastClientTime === undefined ? countText(clientCount) : `${countText(clientCount)}, the last one left ${timeText(lastClientTime)}`;
}

/** A subscriber for programs. */
export function subscriberJson(subscriber: SubscriberInfo): object {
  return {
    queue: subscriber.queue,
    name: subscriber.name,
    events: subscriber.events,
    ...(subscriber.createTime !== undefined && { create_time: subscriber.createTime.toISOString() }),
    committed_offset: subscriber.committedOffset,
    backlog_count: subscriber.backlogCount,
    in_flight_count: subscriber.inFlightCount,
    waiting_retry_count: subscriber.waitingRetryCount,
    expired_count: subscriber.expiredCount,
    dead_letter_count: subscriber.deadLetterCount,
    client_count: subscriber.clientCount,
    blocked_lane_count: subscriber.blockedLaneCount,
    dropped_count: subscriber.droppedCount,
    paused: subscriber.paused,
    ...(subscriber.resumeTime !== undefined && { resume_time: subscriber.resumeTime.toISOString() }),
    ...(subscriber.oldestUnsettledTime !== undefined && { oldest_unsettled_time: subscriber.oldestUnsettledTime.toISOString() }),
    ...(subscriber.lastClientTime !== undefined && { last_client_time: subscriber.lastClientTime.toISOString() }),
    ...(subscriber.expireTime !== undefined && { expire_time: subscriber.expireTime.toISOString() }),
    settings: settingsJson(subscriber.settings),
    effective_settings: settingsJson(subscriber.effectiveSettings),
  };
}
