import type { SubscriberInfo } from "./api.js";
import type { BrokerSettings } from "./settings.js";
import type { DurableSubscriber } from "./subscribers.js";

/**
 * A subscriber as it is now, its backlog counted to the head.
 * @param settings what holds for it
 */
export async function subscriberInfo(queue: string, { record, driver }: DurableSubscriber, settings: BrokerSettings): Promise<SubscriberInfo> {
  const backlogCount = await driver.countBacklog();
  const { committedOffset, inFlight, waitingRetry, blockedLanes } = driver.counts();
  return {
    queue,
    name: record.name,
    events: driver.events,
    createTimeMs: record.createTimeMs,
    committedOffset,
    backlogCount,
    inFlightCount: inFlight,
    waitingRetryCount: waitingRetry,
    deadLetterCount: driver.deadLetterCount,
    clientCount: driver.sessionCount,
    blockedLaneCount: blockedLanes,
    settings,
  };
}
