import type { SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import type { SubscriberSettingChanges } from "../broker/subscriber-settings.js";
import { LIMITS } from "../core/limits.js";
import { invalidField } from "../core/names.js";
import type { FieldReader, FieldReaders } from "./field-mask.js";
import { ON_EXPIRIES, ON_POISONS } from "./settings-to-wire.js";
import { durationMs, exactNumber } from "./wire-numbers.js";

const U32_MAX = 0xffff_ffff;

/** What may be set for a subscriber, or by a queue for its subscribers. */
const SETTINGS: FieldReaders<SubscriberSettings | undefined, SubscriberSettingChanges> = new Map<string, FieldReader<SubscriberSettings | undefined, SubscriberSettingChanges>>([
  ["ack_timeout", (from, field) => ({ ackTimeoutMs: durationMs(field, from?.ackTimeout, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax) })],
  ["max_attempts", (from) => ({ maxAttempts: orUnset(from?.maxAttempts) })],
  ["backoff.min_delay", (from, field) => ({ backoffMinMs: durationMs(field, from?.backoff?.minDelay, 0, LIMITS.backoffMsMax) })],
  ["backoff.max_delay", (from, field) => ({ backoffMaxMs: durationMs(field, from?.backoff?.maxDelay, 0, LIMITS.backoffMsMax) })],
  ["backoff.factor", (from, field) => ({ backoffFactor: inRange(field, from?.backoff?.factor, 1, LIMITS.backoffFactorMax) })],
  ["on_poison", (from, field) => ({ onPoison: ruleFromWire(field, from?.onPoison, ON_POISONS, "ON_POISON_") })],
  ["max_deliveries", (from, field) => ({ maxDeliveries: inRange(field, from?.maxDeliveries, LIMITS.maxDeliveriesMin, U32_MAX) })],
  ["max_unsettled", (from) => ({ maxUnsettled: orUnset(from?.maxUnsettled) })],
  ["window_messages", (from, field) => ({ flowMessages: inRange(field, from?.windowMessages, 1, LIMITS.flowMessagesMax) })],
  ["window_bytes", (from, field) => ({ flowBytes: orUnset(exactNumber(field, from?.windowBytes ?? 0n, LIMITS.flowBytesMax)) })],
  ["expire_after", (from, field) => ({ expireAfterMs: expireAfter(field, from?.expireAfter) })],
  ["on_expiry", (from, field) => ({ onExpiry: ruleFromWire(field, from?.onExpiry, ON_EXPIRIES, "ON_EXPIRY_") })],
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

/**
 * A rule of the contract; undefined when nothing was said, which is 0.
 * @param wires the value of each rule on the wire
 * @param prefix what the contract puts before their names
 */
export function ruleFromWire<Rule extends string>(field: string, wire: number | undefined, wires: Readonly<Record<Rule, number>>, prefix: string): Rule | undefined {
  if (wire === undefined || wire === 0) return undefined;
  const rules = Object.keys(wires) as Rule[];
  const rule = rules.find((each) => wires[each] === wire);
  if (rule === undefined) throw invalidField(field, String(wire), rules.map((each) => prefix + each).join(" or "));
  return rule;
}
