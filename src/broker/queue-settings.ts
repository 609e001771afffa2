import { BrokerError } from "../core/errors.js";
import { invalidField } from "../core/names.js";
import { retentionIn } from "./settings.js";
import type { BrokerSettings } from "./settings.js";
import { SUBSCRIBER_FIELDS } from "./subscriber-settings.js";
import type { SubscriberField, SubscriberSettingChanges } from "./subscriber-settings.js";

/** Whether the order of messages is kept; fixed when a queue is made. */
export type Ordering = "UNORDERED" | "ORDERED";

/** What is a queue's own, by its path in the contract's Queue. */
const ONLY_QUEUE_FIELDS = {
  dedupWindowMs: "dedup_window",
  dedupIdsMax: "dedup_ids_max",
  retentionMode: "retention.mode",
  maxAgeMs: "retention.max_age",
  maxBytes: "retention.max_bytes",
  maxMessages: "retention.max_messages",
  whenFull: "retention.when_full",
} as const satisfies Partial<Record<keyof BrokerSettings, string>>;

export type QueueField = keyof typeof ONLY_QUEUE_FIELDS | SubscriberField;

/** What a queue may set, by its path in the contract's Queue: what is its own, and what its subscribers inherit. */
export const QUEUE_FIELDS: Readonly<Record<QueueField, string>> = { ...ONLY_QUEUE_FIELDS, ...underDefaults(SUBSCRIBER_FIELDS) };

/** What a queue sets itself; what it leaves out it has from the server. */
export type OwnSettings = { readonly [F in QueueField]?: BrokerSettings[F] };

/** What to set; a field that is there and undefined goes back to the server's. */
export type SettingChanges = { readonly [F in QueueField]?: BrokerSettings[F] | undefined };

const FIELDS = Object.keys(QUEUE_FIELDS) as readonly QueueField[];

/** Settings after a change; those of a subscriber too, which are some of these. */
export function changedSettings<Own extends OwnSettings>(own: Own, changes: { readonly [F in keyof Own]?: Own[F] | undefined }): Own {
  const both: SettingChanges = { ...own, ...changes };
  return Object.fromEntries(FIELDS.filter((field) => both[field] !== undefined).map((field) => [field, both[field]])) as Own;
}

/** What holds for a queue, or with the queue's as `outer` for a subscriber. */
export function settingsInEffect(outer: BrokerSettings, own: OwnSettings): BrokerSettings {
  return { ...outer, ...own };
}

/** The first field that `claimed` names with another value than `own` has; of retention, than holds, since no server says otherwise. */
export function otherSetting(own: OwnSettings, claimed: OwnSettings): QueueField | undefined {
  const { mode: retentionMode, ...bounds } = retentionIn(own);
  const held: OwnSettings = { ...own, retentionMode, ...bounds };
  return FIELDS.find((field) => claimed[field] !== undefined && claimed[field] !== held[field]);
}

export function sameSettings(a: OwnSettings, b: OwnSettings): boolean {
  return FIELDS.every((field) => a[field] === b[field]);
}

/** Of whom settings are checked, and where its request has the fields of a subscriber. */
export interface SettingsOwner {
  readonly queue: string;
  readonly ordering: Ordering;
  /** `queue.subscriber_defaults` or `subscriber.settings`. */
  readonly path: string;
}

/**
 * Checks what no field can be checked for alone: INVALID_FIELD for a backoff that would shrink, ORDERED_QUEUE_REQUIRED for
 * lanes to block where there are none.
 *
 * @param changes what the caller asks for, to name the field that is to blame
 * @param settings what would hold
 */
export function checkTogether({ queue, ordering, path }: SettingsOwner, changes: SubscriberSettingChanges, settings: BrokerSettings): void {
  const { backoffMinMs, backoffMaxMs, onPoison } = settings;
  if (backoffMinMs > backoffMaxMs) {
    if (changes.backoffMaxMs !== undefined) throw invalidField(`${path}.${SUBSCRIBER_FIELDS.backoffMaxMs}`, `${backoffMaxMs} ms`, `at least the min_delay of ${backoffMinMs} ms`);
    throw invalidField(`${path}.${SUBSCRIBER_FIELDS.backoffMinMs}`, `${backoffMinMs} ms`, `at most the max_delay of ${backoffMaxMs} ms`);
  }
  if (onPoison !== "BLOCK_LANE" || ordering === "ORDERED") return;
  throw new BrokerError("ORDERED_QUEUE_REQUIRED", `queue ${queue} is UNORDERED and has no lanes to block: leave on_poison at DEAD_LETTER, or make an ordered queue`, {
    field: `${path}.${SUBSCRIBER_FIELDS.onPoison}`,
    value: onPoison,
    queue,
    ordering,
  });
}

function underDefaults(fields: Readonly<Record<SubscriberField, string>>): Record<SubscriberField, string> {
  return Object.fromEntries(Object.entries(fields).map(([field, path]) => [field, `subscriber_defaults.${path}`])) as Record<SubscriberField, string>;
}
