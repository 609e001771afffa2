import type { Explainer } from "./explainer.js";
import type { BrokerSettings } from "./settings.js";
import type { SubscriberInfo } from "./subscriber-api.js";
import type { SubscriberExpiry } from "./subscriber-expiry.js";
import type { DurableSubscriber } from "./subscribers-parts.js";

/**
 * A subscriber as it is now, its backlog counted to the head.
 * @param settings what holds for it
 */
export async function subscriberInfo(queue: string, { record, driver }: DurableSubscriber, settings: BrokerSettings, expiry: SubscriberExpiry, explainer: Explainer): Promise<SubscriberInfo> {
  const backlogCount = await driver.backlog.counted();
  const oldest = await explainer.oldest({ record, driver });
  const { committedOffset, inFlight, waitingRetry, blockedLanes, pause, expired } = driver.counts();
  const { name, start, createTimeMs, own } = record;
  return {
    ...{ queue, name, start, createTimeMs, own, settings, pause, committedOffset, backlogCount },
    events: driver.events,
    inFlightCount: inFlight,
    waitingRetryCount: waitingRetry,
    deadLetterCount: driver.deadLetterCount,
    expiredCount: expired,
    clientCount: driver.sessionCount,
    blockedLaneCount: blockedLanes,
    droppedCount: driver.backlog.droppedCount,
    lastClientTimeMs: expiry.lastClientTimeMs(name),
    oldestUnsettledTimeMs: oldest?.publishTimeMs,
    expireTimeMs: expiry.expireTimeMs(name),
  };
}
