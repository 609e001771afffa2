import { BrokerError, RETRIABLE_REASONS } from "../../src/core/errors.js";
import type { ErrorReason, RetriableReason } from "../../src/core/errors.js";

/** An error of any reason; of one that may be retried, at once. */
export function anyError(reason: ErrorReason, message = "words"): BrokerError {
  return isRetriable(reason) ? new BrokerError(reason, message, {}, 0) : new BrokerError(reason, message);
}

function isRetriable(reason: ErrorReason): reason is RetriableReason {
  return RETRIABLE_REASONS.some((one) => one === reason);
}
