import { OnExpiry, OnPoison as WireOnPoison, SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import type { Queue } from "../../generated/tidemark/v1/queue.js";
import type { OwnSettings } from "../broker/queue-settings.js";
import type { OwnSubscriberSettings } from "../broker/subscriber-settings.js";
import type { BrokerSettings } from "../broker/settings.js";
import type { OnPoison } from "../core/subscription/settings.js";
import { duration } from "./wire-numbers.js";

export const ON_POISONS: Readonly<Record<OnPoison, WireOnPoison>> = { DEAD_LETTER: WireOnPoison.DEAD_LETTER, BLOCK_LANE: WireOnPoison.BLOCK_LANE };

/** What holds for subscribers: every field is set. Zero `expire_after`: never. */
export function settingsInEffect(settings: BrokerSettings): SubscriberSettings {
  return { ...subscriberSettings(settings), onExpiry: OnExpiry.SETTLE };
}

/** What a queue sets itself, and nothing of what it inherits. */
export function queueSettings(own: OwnSettings): Partial<Queue> {
  const { dedupWindowMs, dedupIdsMax = 0, ...defaults } = own;
  return {
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
    maxDeliveries: own.maxDeliveries ?? 0,
    maxUnsettled: own.maxUnsettled ?? 0,
    windowMessages: own.flowMessages ?? 0,
    windowBytes: BigInt(own.flowBytes ?? 0),
    expireAfter: optionalDuration(own.expireAfterMs),
  };
}

function optionalDuration(ms: number | undefined): ReturnType<typeof duration> | undefined {
  return ms === undefined ? undefined : duration(ms);
}
