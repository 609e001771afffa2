import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { OnExpiry as WireOnExpiry, OnPoison as WireOnPoison, SubscriberSettings as WireSettings } from "../../generated/tidemark/v1/settings.js";
import { enumName } from "./enum-name.js";
import { RETENTION_MODES, settingsOfRetention, WHEN_FULLS, wireRetention, type RetentionSettings } from "./retention-settings.js";
import { safeNumber } from "./safe-number.js";
import { TidemarkError } from "./tidemark-error.js";
import { durationFromMs, durationToMs } from "./wire-time.js";

/**
 * What becomes of a message whose last attempt or hand-out failed. "DEAD_LETTER": it moves to the dead letters, and what follows
 * goes on. "BLOCK_LANE", on ordered queues alone: it stays where it is, and its lane stands still behind it until somebody
 * decides. "UNRECOGNIZED" is only answered: a rule newer than this client.
 */
export type OnPoison = "DEAD_LETTER" | "BLOCK_LANE" | "UNRECOGNIZED";

/**
 * What becomes of a message that expires before its subscriber has settled it. "SETTLE": it counts as settled. "DEAD_LETTER": it
 * is moved to the dead letters as well. "UNRECOGNIZED" is only answered: a rule newer than this client.
 */
export type OnExpiry = "SETTLE" | "DEAD_LETTER" | "UNRECOGNIZED";

/** How messages are delivered to the subscribers of a queue. What is left out comes from the server, whose usual values are given. */
export interface SubscriberSettings {
  /** How long a delivery is leased, unless the session says otherwise. 100 ms to 12 h. Default: 60 s. */
  readonly ackTimeoutMs?: number;
  /** The retry of which attempt makes a message poison, from 1. Default: 10. */
  readonly maxAttempts?: number;
  /** After how many hand-outs without a verdict a message is poison, from 3. Default: 20. */
  readonly maxDeliveries?: number;
  /** What becomes of poison. Default: "DEAD_LETTER". */
  readonly onPoison?: OnPoison;
  /** The wait before the second attempt, where a retry names none. 0 to 12 h, and not above `backoffMaxMs`. Default: 100 ms. */
  readonly backoffMinMs?: number;
  /** The longest wait between attempts, where a retry names none. 0 to 12 h. Default: 60 s. */
  readonly backoffMaxMs?: number;
  /** How many times as long each wait is as the one before, 1 to 10. Default: 2. */
  readonly backoffFactor?: number;
  /** How much of a subscriber may be unsettled, in flight, waiting or scattered; then nothing new comes. From 1. Default: 10,000. */
  readonly maxUnsettled?: number;
  /** How many unsettled messages a client holds that names no number itself, 1 to 100,000. Default: 1,000. */
  readonly windowMessages?: number;
  /** The same in bytes, 1 to 64 MiB. Default: 8 MiB. */
  readonly windowBytes?: number;
  /** After how long without a client a subscriber is deleted, from 1 s. 0: never. Default: never. */
  readonly expireAfterMs?: number;
  /** What becomes of messages that expire. Default: "SETTLE". */
  readonly onExpiry?: OnExpiry;
}

/** What a queue may set: for itself, and for its subscribers to inherit. What is left out comes from the server. */
export interface QueueSettings extends SubscriberSettings, RetentionSettings {
  /** How long a message id is remembered, up to 24 h. 0: not at all. Default: 2 min. */
  readonly dedupWindowMs?: number;
  /** How many message ids are remembered, 1 to 10,000,000. Default: 1,000,000. */
  readonly dedupIdsMax?: number;
}

/** What to change in the settings of a queue. What is left out stays as it is; `"inherit"` goes back to the server's. */
export type QueueChanges = { readonly [Name in keyof QueueSettings]?: NonNullable<QueueSettings[Name]> | "inherit" };

type SettingName = keyof QueueSettings;

/** Where the contract has each setting, as an update_mask names it. */
const PATHS: Readonly<Record<SettingName, string>> = {
  ackTimeoutMs: "subscriber_defaults.ack_timeout",
  maxAttempts: "subscriber_defaults.max_attempts",
  maxDeliveries: "subscriber_defaults.max_deliveries",
  onPoison: "subscriber_defaults.on_poison",
  backoffMinMs: "subscriber_defaults.backoff.min_delay",
  backoffMaxMs: "subscriber_defaults.backoff.max_delay",
  backoffFactor: "subscriber_defaults.backoff.factor",
  maxUnsettled: "subscriber_defaults.max_unsettled",
  windowMessages: "subscriber_defaults.window_messages",
  windowBytes: "subscriber_defaults.window_bytes",
  expireAfterMs: "subscriber_defaults.expire_after",
  onExpiry: "subscriber_defaults.on_expiry",
  dedupWindowMs: "dedup_window",
  dedupIdsMax: "dedup_ids_max",
  retention: "retention.mode",
  maxAgeMs: "retention.max_age",
  maxBytes: "retention.max_bytes",
  maxMessages: "retention.max_messages",
  whenFull: "retention.when_full",
};
const NAMES = Object.keys(PATHS) as readonly SettingName[];
const U32_MAX = 0xffff_ffff;

/** What the wire can carry of each kind. 0 would say nothing there, except in a time. What is sensible is the broker's to say. */
const KINDS = {
  time: { allowed: "a number of milliseconds from 0", fits: (value: number) => value >= 0 && value <= Number.MAX_SAFE_INTEGER },
  count: { allowed: `a whole number from 1 to ${U32_MAX}`, fits: (value: number) => Number.isInteger(value) && value >= 1 && value <= U32_MAX },
  large: { allowed: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`, fits: (value: number) => Number.isSafeInteger(value) && value >= 1 },
  factor: { allowed: "a number above 0", fits: (value: number) => value > 0 },
} as const;

/** Settings that are one of some words. */
type RuleName = "onPoison" | "onExpiry" | "retention" | "whenFull";

const KIND_OF: Readonly<Record<Exclude<SettingName, RuleName>, keyof typeof KINDS>> = {
  ...{ ackTimeoutMs: "time", backoffMinMs: "time", backoffMaxMs: "time", dedupWindowMs: "time", expireAfterMs: "time", maxAgeMs: "time" },
  ...{ maxAttempts: "count", maxDeliveries: "count", maxUnsettled: "count", windowMessages: "count" },
  ...{ windowBytes: "large", dedupIdsMax: "large", maxBytes: "large", maxMessages: "large", backoffFactor: "factor" },
};

const ON_POISONS: Readonly<Record<string, WireOnPoison>> = { DEAD_LETTER: WireOnPoison.DEAD_LETTER, BLOCK_LANE: WireOnPoison.BLOCK_LANE };
const ON_EXPIRIES: Readonly<Record<string, WireOnExpiry>> = { SETTLE: WireOnExpiry.SETTLE, DEAD_LETTER: WireOnExpiry.DEAD_LETTER };
const RULES: Readonly<Record<RuleName, Readonly<Record<string, unknown>>>> = { onPoison: ON_POISONS, onExpiry: ON_EXPIRIES, retention: RETENTION_MODES, whenFull: WHEN_FULLS };

/** A queue to make. Throws INVALID_FIELD for a setting that cannot be sent. */
export function newQueue(name: string, ordered: boolean, settings: QueueSettings): Queue {
  return { ...queueWith(settings), name, ordering: ordered ? Ordering.ORDERED : Ordering.UNORDERED };
}

/** Changes as the contract says them: what is in the mask and not in the queue goes back. Throws INVALID_FIELD likewise. */
export function queueUpdate(name: string, queueId: string, changes: QueueChanges): { queue: Queue; updateMask: string[] } {
  const { kept, paths } = changedSettings(changes);
  return { queue: { ...queueWith(kept), name, queueId }, updateMask: [...paths] };
}

/** What an answer says that a queue sets. */
export function settingsOfQueue({ dedupWindow, dedupIdsMax, subscriberDefaults, retention }: Queue): QueueSettings {
  return {
    ...settingsOfSubscriber(subscriberDefaults),
    ...settingsOfRetention(retention),
    ...(dedupWindow !== undefined && { dedupWindowMs: durationToMs(dedupWindow) }),
    ...(dedupIdsMax !== 0n && { dedupIdsMax: safeNumber(dedupIdsMax, "dedup_ids_max") }),
  };
}

/** What an answer says of subscribers. */
export function settingsOfSubscriber(wire: WireSettings | undefined): SubscriberSettings {
  if (wire === undefined) return {};
  const { ackTimeout, backoff, maxAttempts, maxDeliveries, onPoison, maxUnsettled, windowMessages, windowBytes, expireAfter, onExpiry } = wire;
  return {
    ...(ackTimeout !== undefined && { ackTimeoutMs: durationToMs(ackTimeout) }),
    ...(maxAttempts !== 0 && { maxAttempts }),
    ...(maxDeliveries !== 0 && { maxDeliveries }),
    ...(onPoison !== WireOnPoison.UNSPECIFIED && { onPoison: enumName(WireOnPoison, onPoison) as OnPoison }),
    ...(backoff?.minDelay !== undefined && { backoffMinMs: durationToMs(backoff.minDelay) }),
    ...(backoff?.maxDelay !== undefined && { backoffMaxMs: durationToMs(backoff.maxDelay) }),
    ...(backoff !== undefined && backoff.factor !== 0 && { backoffFactor: backoff.factor }),
    ...(maxUnsettled !== 0 && { maxUnsettled }),
    ...(windowMessages !== 0 && { windowMessages }),
    ...(windowBytes !== 0n && { windowBytes: safeNumber(windowBytes, "window_bytes") }),
    ...(expireAfter !== undefined && { expireAfterMs: durationToMs(expireAfter) }),
    ...(onExpiry !== WireOnExpiry.UNSPECIFIED && { onExpiry: enumName(WireOnExpiry, onExpiry) as OnExpiry }),
  };
}

/** Throws INVALID_FIELD for a setting that cannot be sent. */
export function checkSettings(settings: QueueSettings): void {
  for (const name of NAMES) checkSetting(name, settings[name]);
}

/** The settings of a change that are named, with the path of each in the contract: below `subscriber_defaults` those of subscribers. */
export function changedSettings(changes: QueueChanges): { readonly kept: QueueSettings; readonly paths: readonly string[] } {
  const changed = NAMES.filter((setting) => changes[setting] !== undefined);
  const kept = Object.fromEntries(changed.filter((setting) => changes[setting] !== "inherit").map((setting) => [setting, changes[setting]]));
  return { kept, paths: changed.map((setting) => PATHS[setting]) };
}

function queueWith(settings: QueueSettings): Queue {
  checkSettings(settings);
  const { dedupWindowMs, dedupIdsMax = 0 } = settings;
  const retention = isAnySet(settings, (path) => path.startsWith("retention.")) ? wireRetention(settings) : undefined;
  return { ...Queue.create(), retention, dedupWindow: optionalDuration(dedupWindowMs), dedupIdsMax: BigInt(dedupIdsMax), subscriberDefaults: wireSettings(settings) };
}

/** Settings of subscribers. Nothing at all where nothing is set: a broker that knows no settings makes queues all the same. */
export function wireSettings(settings: SubscriberSettings): WireSettings | undefined {
  if (!isAnySet(settings, (path) => path.startsWith("subscriber_defaults."))) return undefined;
  const { ackTimeoutMs, backoffMinMs, backoffMaxMs, backoffFactor, windowBytes = 0, onPoison = "", onExpiry = "", expireAfterMs } = settings;
  const { maxAttempts = 0, maxDeliveries = 0, maxUnsettled = 0, windowMessages = 0 } = settings;
  const backsOff = isAnySet(settings, (path) => path.startsWith("subscriber_defaults.backoff."));
  return {
    ...WireSettings.create(),
    ...{ maxAttempts, maxDeliveries, maxUnsettled, windowMessages, windowBytes: BigInt(windowBytes) },
    ackTimeout: optionalDuration(ackTimeoutMs),
    backoff: backsOff ? { minDelay: optionalDuration(backoffMinMs), maxDelay: optionalDuration(backoffMaxMs), factor: backoffFactor ?? 0 } : undefined,
    onPoison: ON_POISONS[onPoison] ?? WireOnPoison.UNSPECIFIED,
    expireAfter: optionalDuration(expireAfterMs),
    onExpiry: ON_EXPIRIES[onExpiry] ?? WireOnExpiry.UNSPECIFIED,
  };
}

function isAnySet(settings: QueueSettings, isMeant: (path: string) => boolean): boolean {
  return NAMES.some((name) => isMeant(PATHS[name]) && settings[name] !== undefined);
}

function checkSetting(field: SettingName, value: unknown): void {
  if (value === undefined) return;
  if (field === "onPoison" || field === "onExpiry" || field === "retention" || field === "whenFull") {
    const rules = RULES[field];
    if (typeof value !== "string" || !Object.hasOwn(rules, value)) throw invalid(field, value, Object.keys(rules).join(" or "));
    return;
  }
  const { allowed, fits } = KINDS[KIND_OF[field]];
  if (typeof value !== "number" || !fits(value)) throw invalid(field, value, allowed);
}

function invalid(field: string, value: unknown, limit: string): TidemarkError {
  return new TidemarkError("INVALID_ARGUMENT", "INVALID_FIELD", `${field} is ${String(value)}; allowed: ${limit}`, { field, value: String(value), limit });
}

function optionalDuration(ms: number | undefined): ReturnType<typeof durationFromMs> | undefined {
  return ms === undefined ? undefined : durationFromMs(ms);
}
