import { BrokerError } from "../core/errors.js";
import { invalidField } from "../core/names.js";
import type { BrokerSettings } from "./settings.js";

/** Whether the order of messages is kept; fixed when a queue is made. */
export type Ordering = "UNORDERED" | "ORDERED";

/** What a queue may set, by its path in the contract's Queue. The first two are the queue's own, its subscribers inherit the rest. */
export const QUEUE_FIELDS = {
  dedupWindowMs: "dedup_window",
  dedupIdsMax: "dedup_ids_max",
  ackTimeoutMs: "subscriber_defaults.ack_timeout",
  maxAttempts: "subscriber_defaults.max_attempts",
  backoffMinMs: "subscriber_defaults.backoff.min_delay",
  backoffMaxMs: "subscriber_defaults.backoff.max_delay",
  backoffFactor: "subscriber_defaults.backoff.factor",
  onPoison: "subscriber_defaults.on_poison",
  maxDeliveries: "subscriber_defaults.max_deliveries",
  maxUnsettled: "subscriber_defaults.max_unsettled",
  flowMessages: "subscriber_defaults.window_messages",
  flowBytes: "subscriber_defaults.window_bytes",
} as const satisfies Partial<Record<keyof BrokerSettings, string>>;

export type QueueField = keyof typeof QUEUE_FIELDS;

/** What a queue sets itself; what it leaves out it has from the server. */
export type OwnSettings = { readonly [F in QueueField]?: BrokerSettings[F] };

/** What to set; a field that is there and undefined goes back to the server's. */
export type SettingChanges = { readonly [F in QueueField]?: BrokerSettings[F] | undefined };

const FIELDS = Object.keys(QUEUE_FIELDS) as readonly QueueField[];
const INHERITED = "subscriber_defaults.";

/** Settings after a change. */
export function changedSettings(own: OwnSettings, changes: SettingChanges): OwnSettings {
  const both = { ...own, ...changes };
  return Object.fromEntries(FIELDS.filter((field) => both[field] !== undefined).map((field) => [field, both[field]]));
}

/** What holds for a queue. */
export function settingsInEffect(server: BrokerSettings, own: OwnSettings): BrokerSettings {
  return { ...server, ...own };
}

/** The first field that `claimed` names with another value than `own` has. */
export function otherSetting(own: OwnSettings, claimed: OwnSettings): QueueField | undefined {
  return FIELDS.find((field) => claimed[field] !== undefined && claimed[field] !== own[field]);
}

export function sameSettings(a: OwnSettings, b: OwnSettings): boolean {
  return FIELDS.every((field) => a[field] === b[field]);
}

/** What changed for subscribers, in words; empty when nothing did. */
export function changesText(before: BrokerSettings, after: BrokerSettings): string {
  return FIELDS.filter((field) => QUEUE_FIELDS[field].startsWith(INHERITED) && before[field] !== after[field])
    .map((field) => `${QUEUE_FIELDS[field].slice(INHERITED.length)} is ${after[field]}${field.endsWith("Ms") ? " ms" : ""}`)
    .join(", ");
}

/**
 * Checks what no field can be checked for alone: INVALID_FIELD for a backoff that would shrink, ORDERED_QUEUE_REQUIRED for
 * lanes to block where there are none.
 *
 * @param changes what the caller asks for, to name the field that is to blame
 * @param settings what would hold
 */
export function checkTogether(queue: string, ordering: Ordering, changes: SettingChanges, settings: BrokerSettings): void {
  const { backoffMinMs, backoffMaxMs, onPoison } = settings;
  if (backoffMinMs > backoffMaxMs) {
    if (changes.backoffMaxMs !== undefined) throw invalidField(`queue.${QUEUE_FIELDS.backoffMaxMs}`, `${backoffMaxMs} ms`, `at least the min_delay of ${backoffMinMs} ms`);
    throw invalidField(`queue.${QUEUE_FIELDS.backoffMinMs}`, `${backoffMinMs} ms`, `at most the max_delay of ${backoffMaxMs} ms`);
  }
  if (onPoison !== "BLOCK_LANE" || ordering === "ORDERED") return;
  throw new BrokerError("ORDERED_QUEUE_REQUIRED", `queue ${queue} is UNORDERED and has no lanes to block: leave on_poison at DEAD_LETTER, or make an ordered queue`, {
    field: `queue.${QUEUE_FIELDS.onPoison}`,
    value: onPoison,
    queue,
    ordering,
  });
}
