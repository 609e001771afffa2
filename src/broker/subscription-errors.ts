import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";

/** Loading a subscriber again takes a few reads. */
const MOVED_RETRY_MS = 100;

/** The error of whoever works with a subscription whose stored state is not what it was. */
export function movedError(name: string): BrokerError {
  return new BrokerError("SUBSCRIPTION_MOVED", `the state of subscriber ${name} was changed elsewhere: connect again`, { subscriber: name }, MOVED_RETRY_MS);
}

/** What the sessions of a subscriber that was deleted end with. */
export function deletedError(queue: string, subscriber: string): BrokerError {
  return new BrokerError("SUBSCRIBER_DELETED", `subscriber ${subscriber} of queue ${queue} was deleted`, { queue, subscriber });
}

/** FILTER_CHANGES_PENDING when messages of too many earlier filters are not settled: each of these has to be remembered. */
export function checkEarlierFilters(name: string, earlier: number): void {
  if (earlier < LIMITS.earlierFiltersMax) return;
  throw new BrokerError(
    "FILTER_CHANGES_PENDING",
    `subscriber ${name} has unsettled messages from before each of its last ${earlier} changes of the filter, as many as are remembered: settle the oldest ones first`,
    { subscriber: name, limit: String(LIMITS.earlierFiltersMax) },
  );
}
