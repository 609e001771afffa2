import type { EventFilter } from "../event-filter.js";

/** What becomes of a message whose last attempt or last hand-out failed: see `OnPoison` in the contract. */
export type OnPoison = "DEAD_LETTER" | "BLOCK_LANE";

/** What becomes of a message that expires before it is settled: see `OnExpiry` in the contract. */
export type OnExpiry = "SETTLE" | "DEAD_LETTER";

/** How messages are handed out and given up. May change while the subscription runs. */
export interface DeliveryRules {
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly maxUnsettled: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly backoffFactor: number;
  /** BLOCK_LANE only where messages follow one another in lanes. */
  readonly onPoison: OnPoison;
  /** An ephemeral subscriber has no dead letters, and settles. */
  readonly onExpiry: OnExpiry;
}

/** What a subscription is set to; all in effect at once. */
export interface SubscriptionSettings extends DeliveryRules {
  /** The subscriber's name; messages addressed to another one are passed over. Empty for an ephemeral one. */
  readonly name: string;
  /** The filter that it begins or goes on with; it may change. */
  readonly filter: EventFilter;
  /** Messages follow one another in lanes. */
  readonly ordered: boolean;
  /** Ephemeral: nothing is stored, no `save_cursor`, no `bury`; a reject settles. */
  readonly ephemeral: boolean;
}
