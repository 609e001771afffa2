import type { BrokerSettings } from "./settings.js";

/** What a subscriber may set, by its path in the contract's SubscriberSettings. */
export const SUBSCRIBER_FIELDS = {
  ackTimeoutMs: "ack_timeout",
  maxAttempts: "max_attempts",
  backoffMinMs: "backoff.min_delay",
  backoffMaxMs: "backoff.max_delay",
  backoffFactor: "backoff.factor",
  onPoison: "on_poison",
  maxDeliveries: "max_deliveries",
  maxUnsettled: "max_unsettled",
  flowMessages: "window_messages",
  flowBytes: "window_bytes",
  expireAfterMs: "expire_after",
  onExpiry: "on_expiry",
} as const satisfies Partial<Record<keyof BrokerSettings, string>>;

export type SubscriberField = keyof typeof SUBSCRIBER_FIELDS;

/** What a subscriber sets itself; what it leaves out it has from its queue. */
export type OwnSubscriberSettings = { readonly [F in SubscriberField]?: BrokerSettings[F] };

/** Everything is inherited. */
export const NOTHING_SET: OwnSubscriberSettings = {};

/** What to set; a field that is there and undefined goes back to the queue's. */
export type SubscriberSettingChanges = { readonly [F in SubscriberField]?: BrokerSettings[F] | undefined };

const FIELDS = Object.keys(SUBSCRIBER_FIELDS) as readonly SubscriberField[];

/** What changed for a subscriber, in words; empty when nothing did. */
export function changesText(before: BrokerSettings, after: BrokerSettings): string {
  return FIELDS.filter((field) => before[field] !== after[field])
    .map((field) => `${SUBSCRIBER_FIELDS[field]} is ${field === "expireAfterMs" && after[field] === 0 ? "never" : `${after[field]}${field.endsWith("Ms") ? " ms" : ""}`}`)
    .join(", ");
}
