import { OnExpiry as WireOnExpiry, OnPoison as WireOnPoison } from "../../generated/tidemark/v1/settings.js";
import type { SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import type { SubscriberSettingChanges } from "../broker/subscriber-settings.js";
import { LIMITS } from "../core/limits.js";
import { invalidField } from "../core/names.js";
import type { OnExpiry, OnPoison } from "../core/subscription/settings.js";
import type { FieldReader, FieldReaders } from "./field-mask.js";
import { durationMs, exactNumber } from "./wire-numbers.js";

const U32_MAX = 0xffff_ffff;

/** What may be set for a subscriber, or by a queue for its subscribers. */
const SETTINGS: FieldReaders<SubscriberSettings | undefined, SubscriberSettingChanges> = new Map<string, FieldReader<SubscriberSettings | undefined, SubscriberSettingChanges>>([
  ["ack_timeout", (from, field) => ({ ackTimeoutMs: durationMs(field, from?.ackTimeout, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax) })],
  ["max_attempts", (from) => ({ maxAttempts: orUnset(from?.maxAttempts) })],
  ["backoff.min_delay", (from, field) => ({ backoffMinMs: durationMs(field, from?.backoff?.minDelay, 0, LIMITS.backoffMsMax) })],
  ["backoff.max_delay", (from, field) => ({ backoffMaxMs: durationMs(field, from?.backoff?.maxDelay, 0, LIMITS.backoffMsMax) })],
  ["backoff.factor", (from, field) => ({ backoffFactor: inRange(field, from?.backoff?.factor, 1, LIMITS.backoffFactorMax) })],
  ["on_poison", (from, field) => ({ onPoison: onPoison(field, from?.onPoison) })],
  ["max_deliveries", (from, field) => ({ maxDeliveries: inRange(field, from?.maxDeliveries, LIMITS.maxDeliveriesMin, U32_MAX) })],
  ["max_unsettled", (from) => ({ maxUnsettled: orUnset(from?.maxUnsettled) })],
  ["window_messages", (from, field) => ({ flowMessages: inRange(field, from?.windowMessages, 1, LIMITS.flowMessagesMax) })],
  ["window_bytes", (from, field) => ({ flowBytes: orUnset(exactNumber(field, from?.windowBytes ?? 0n, LIMITS.flowBytesMax)) })],
  ["expire_after", (from, field) => ({ expireAfterMs: expireAfter(field, from?.expireAfter) })],
  ["on_expiry", (from, field) => ({ onExpiry: onExpiry(field, from?.onExpiry) })],
]);

/** The same where a larger message has the settings. */
export function settingReadersUnder<From>(prefix: string, settingsOf: (from: From) => SubscriberSettings | undefined): [string, FieldReader<From, SubscriberSettingChanges>][] {
  return [...SETTINGS].map(([path, read]) => [`${prefix}.${path}`, (from, field) => read(settingsOf(from), field)]);
}

/** 0 means that nothing was said. */
export function orUnset(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function inRange(field: string, value: number | undefined, min: number, max: number): number | undefined {
  if (value === undefined || value === 0) return undefined;
  if (!(value >= min && value <= max)) throw invalidField(field, String(value), `${min} to ${max}`);
  return value;
}

/** Zero is never, which is something else than what is inherited. */
function expireAfter(field: string, value: SubscriberSettings["expireAfter"]): number | undefined {
  if (value?.seconds === 0n && value.nanos === 0) return 0;
  return durationMs(field, value, LIMITS.expireAfterMsMin, LIMITS.expireAfterMsMax);
}

function onPoison(field: string, wire: WireOnPoison | undefined): OnPoison | undefined {
  switch (wire) {
    case undefined:
    case WireOnPoison.UNSPECIFIED:
      return undefined;
    case WireOnPoison.DEAD_LETTER:
      return "DEAD_LETTER";
    case WireOnPoison.BLOCK_LANE:
      return "BLOCK_LANE";
    default:
      throw invalidField(field, String(wire), "ON_POISON_DEAD_LETTER or ON_POISON_BLOCK_LANE");
  }
}

function onExpiry(field: string, wire: WireOnExpiry | undefined): OnExpiry | undefined {
  switch (wire) {
    case undefined:
    case WireOnExpiry.UNSPECIFIED:
      return undefined;
    case WireOnExpiry.SETTLE:
      return "SETTLE";
    case WireOnExpiry.DEAD_LETTER:
      return "DEAD_LETTER";
    default:
      throw invalidField(field, String(wire), "ON_EXPIRY_SETTLE or ON_EXPIRY_DEAD_LETTER");
  }
}
