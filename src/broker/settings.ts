import { DEFAULTS } from "../core/limits.js";
import { whenFullByMode } from "../core/retention.js";
import type { Retention, RetentionMode, WhenFull } from "../core/retention.js";
import type { DeliveryRules, OnExpiry, OnPoison } from "../core/subscription/settings.js";

/** What an operator may say about every queue and subscriber; docs/limits.md has the reasons of the defaults. */
export interface BrokerSettings {
  /** Make a queue on the first publish or subscribe to it. Otherwise these are NOT_FOUND. */
  readonly autoCreateQueues: boolean;
  readonly ackTimeoutMs: number;
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly backoffFactor: number;
  readonly maxUnsettled: number;
  /** BLOCK_LANE only on ordered queues. */
  readonly onPoison: OnPoison;
  readonly onExpiry: OnExpiry;
  readonly flowMessages: number;
  readonly flowBytes: number;
  readonly deliveryBatchMessages: number;
  readonly deliveryBatchBytes: number;
  readonly heartbeatMs: number;
  /** After how long without a client a subscriber is deleted; 0: never. */
  readonly expireAfterMs: number;
  readonly dedupWindowMs: number;
  /** Message ids remembered at least, by queue. */
  readonly dedupIdsMax: number;
  readonly retentionMode: RetentionMode;
  /** Bounds of what a queue keeps; 0: there is none. */
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  readonly maxMessages: number;
  /** Undefined: as the mode has it. */
  readonly whenFull: WhenFull | undefined;
}

/** Settings of a broker that was told nothing. */
export const BROKER_DEFAULTS: BrokerSettings = {
  ...{ autoCreateQueues: true, onPoison: "DEAD_LETTER", onExpiry: "SETTLE" },
  ...{ retentionMode: "UNTIL_ACKED", maxAgeMs: 0, maxBytes: 0, maxMessages: 0, whenFull: undefined },
  ...DEFAULTS,
};

/** The part of the settings that says how long messages are kept. */
export function retentionIn({ retentionMode = "UNTIL_ACKED", maxAgeMs = 0, maxBytes = 0, maxMessages = 0, whenFull }: Partial<BrokerSettings>): Retention {
  return { mode: retentionMode, maxAgeMs, maxBytes, maxMessages, whenFull: whenFull ?? whenFullByMode(retentionMode) };
}

/** The part of the settings that a subscription goes by. */
export function deliveryRules({ maxAttempts, maxDeliveries, maxUnsettled, backoffMinMs, backoffMaxMs, backoffFactor, onPoison, onExpiry }: BrokerSettings): DeliveryRules {
  return { maxAttempts, maxDeliveries, maxUnsettled, backoffMinMs, backoffMaxMs, backoffFactor, onPoison, onExpiry };
}

/** Whether two sets of rules are one. */
export function sameRules(a: DeliveryRules, b: DeliveryRules): boolean {
  return (Object.keys(a) as (keyof DeliveryRules)[]).every((rule) => a[rule] === b[rule]);
}
