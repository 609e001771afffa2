import type { SubscriberView } from "../ports/telemetry.js";
import type { SubscriptionDriver } from "./subscription-driver.js";

/** A subscriber as far as it is known without waiting, for telemetry. */
export function subscriberView(name: string, driver: SubscriptionDriver): SubscriberView {
  const { committedOffset, inFlight, waitingRetry } = driver.counts();
  return {
    ...{ name, committedOffset, inFlightCount: inFlight, waitingRetryCount: waitingRetry },
    lag: Math.max(0, driver.headOffset() - committedOffset),
    backlogCount: driver.backlogCount(),
    deadLetterCount: driver.deadLetterCount,
    clientCount: driver.sessionCount,
  };
}
