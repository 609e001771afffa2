import type { DeliveryCause, SettleFailureCode } from "../session.js";
import type { DeadLetter, Effect } from "./effects.js";

/** Why a message is handed out again. */
export type RedeliveryCause = Exclude<DeliveryCause, "NEW">;

/**
 * What subscriptions have done, in messages unless it says otherwise. It only grows: whoever does something adds to it, at the
 * cost of an addition a run, and whoever is curious reads it. Nothing is decided by it.
 */
export class SubscriptionTally {
  /** Handed out, for the first time or again. */
  delivered = 0;
  /** Handed out again. */
  readonly redelivered: Record<RedeliveryCause, number> = { RETRY: 0, TIMEOUT: 0, DISCONNECT: 0, RELEASED: 0, SEEK: 0 };
  /** Acked by a settle, or under AUTO taken by the transport. */
  acked = 0;
  /** Retry verdicts, those that ended in a dead letter included. */
  retried = 0;
  rejected = 0;
  /** Expired before they were settled. */
  expired = 0;
  /** Given back uncounted by a settle or the orderly end of a session. */
  released = 0;
  /** Leases that ended without a verdict. */
  readonly lost: Record<"TIMEOUT" | "DISCONNECT", number> = { TIMEOUT: 0, DISCONNECT: 0 };
  /** Parts of settles that came to nothing, each a range. */
  readonly settleFailures: Record<SettleFailureCode, number> = { LEASE_LOST: 0, NOT_HELD: 0, ALREADY_SETTLED: 0 };
  /** Given up for good and on their way to the dead letters. */
  readonly deadLettered: Record<DeadLetter["reason"], number> = { REJECTED: 0, MAX_ATTEMPTS: 0, MAX_DELIVERIES: 0, EXPIRED: 0 };

  /** Purged, or dropped by a bound of retention, before they were settled or in flight. */
  dropped = 0;

  /** Adds what the effects of a step do. */
  count(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === "deliver") {
        this.delivered += effect.messages;
        if (effect.batch.cause !== "NEW") this.redelivered[effect.batch.cause] += effect.messages;
      } else if (effect.type === "bury") {
        for (const { reason } of effect.deadLetters) this.deadLettered[reason]++;
      } else if (effect.type === "confirm") {
        // Below 0 are the broker's own settles: what comes to nothing there is no client's failure.
        for (const { requestId, code } of effect.failures) if (requestId >= 0n) this.settleFailures[code]++;
      }
    }
  }
}
