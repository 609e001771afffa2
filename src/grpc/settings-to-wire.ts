import { OnExpiry as WireOnExpiry, OnPoison as WireOnPoison, SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import { RetentionMode as WireMode, WhenFull as WireWhenFull } from "../../generated/tidemark/v1/queue.js";
import type { Queue, Retention as WireRetention } from "../../generated/tidemark/v1/queue.js";
import type { OwnSettings } from "../broker/queue-settings.js";
import { SUBSCRIBER_FIELDS } from "../broker/subscriber-settings.js";
import type { OwnSubscriberSettings } from "../broker/subscriber-settings.js";
import { retentionIn } from "../broker/settings.js";
import type { BrokerSettings } from "../broker/settings.js";
import type { RetentionMode, WhenFull } from "../core/retention.js";
import type { OnExpiry, OnPoison } from "../core/subscription/settings.js";
import { duration } from "./wire-numbers.js";

export const ON_POISONS: Readonly<Record<OnPoison, WireOnPoison>> = { DEAD_LETTER: WireOnPoison.DEAD_LETTER, BLOCK_LANE: WireOnPoison.BLOCK_LANE };
export const ON_EXPIRIES: Readonly<Record<OnExpiry, WireOnExpiry>> = { SETTLE: WireOnExpiry.SETTLE, DEAD_LETTER: WireOnExpiry.DEAD_LETTER };

export const RETENTION_MODES: Readonly<Record<RetentionMode, WireMode>> = { UNTIL_ACKED: WireMode.UNTIL_ACKED, LOG: WireMode.LOG };
export const WHEN_FULLS: Readonly<Record<WhenFull, WireWhenFull>> = { DROP_OLDEST: WireWhenFull.DROP_OLDEST, REJECT_NEW: WireWhenFull.REJECT_NEW };

/** What holds for subscribers: every field is set. Zero `expire_after`: never. */
export function settingsInEffect(settings: BrokerSettings): SubscriberSettings {
  return subscriberSettings(settings);
}

/** What a queue sets itself, and nothing of what it inherits; of retention, which it has from nobody, what holds. */
export function queueSettings(own: OwnSettings): Partial<Queue> {
  const { dedupWindowMs, dedupIdsMax = 0 } = own;
  const defaults: OwnSubscriberSettings = Object.fromEntries(Object.entries(own).filter(([field]) => field in SUBSCRIBER_FIELDS));
  return {
    retention: retention(own),
    dedupWindow: optionalDuration(dedupWindowMs),
    dedupIdsMax: BigInt(dedupIdsMax),
    subscriberDefaults: ownSubscriberSettings(defaults),
  };
}

/** What is set for subscribers, and nothing of what is inherited; undefined when that is nothing. */
export function ownSubscriberSettings(own: OwnSubscriberSettings): SubscriberSettings | undefined {
  return Object.keys(own).length === 0 ? undefined : subscriberSettings(own);
}

function subscriberSettings(own: OwnSubscriberSettings): SubscriberSettings {
  const { backoffMinMs, backoffMaxMs, backoffFactor } = own;
  const backsOff = backoffMinMs !== undefined || backoffMaxMs !== undefined || backoffFactor !== undefined;
  return {
    ...SubscriberSettings.create(),
    ackTimeout: optionalDuration(own.ackTimeoutMs),
    maxAttempts: own.maxAttempts ?? 0,
    backoff: backsOff ? { minDelay: optionalDuration(backoffMinMs), maxDelay: optionalDuration(backoffMaxMs), factor: backoffFactor ?? 0 } : undefined,
    onPoison: own.onPoison === undefined ? WireOnPoison.UNSPECIFIED : ON_POISONS[own.onPoison],
    onExpiry: own.onExpiry === undefined ? WireOnExpiry.UNSPECIFIED : ON_EXPIRIES[own.onExpiry],
    maxDeliveries: own.maxDeliveries ?? 0,
    maxUnsettled: own.maxUnsettled ?? 0,
    windowMessages: own.flowMessages ?? 0,
    windowBytes: BigInt(own.flowBytes ?? 0),
    expireAfter: optionalDuration(own.expireAfterMs),
  };
}

function retention(own: OwnSettings): WireRetention {
  const { mode, maxAgeMs, maxBytes, maxMessages, whenFull } = retentionIn(own);
  return {
    mode: RETENTION_MODES[mode],
    maxAge: maxAgeMs === 0 ? undefined : duration(maxAgeMs),
    maxBytes: BigInt(maxBytes),
    maxMessages: BigInt(maxMessages),
    whenFull: WHEN_FULLS[whenFull],
  };
}

function optionalDuration(ms: number | undefined): ReturnType<typeof duration> | undefined {
  return ms === undefined ? undefined : duration(ms);
}
