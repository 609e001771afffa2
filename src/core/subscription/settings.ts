import type { EventFilter } from "../event-filter.js";

/** What a subscription is set to; all in effect at once. */
export interface SubscriptionSettings {
  /** The subscriber's name; messages addressed to another one are passed over. Empty for an ephemeral one. */
  readonly name: string;
  readonly filter: EventFilter;
  /** Messages follow one another in lanes. */
  readonly ordered: boolean;
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly maxUnsettled: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly backoffFactor: number;
  /** Ephemeral: nothing is stored, no `save_cursor`, no `bury`; a reject settles. */
  readonly ephemeral: boolean;
}
