import { Ordering as WireOrdering, RetentionMode, WhenFull } from "../../generated/tidemark/v1/queue.js";
import type { Queue } from "../../generated/tidemark/v1/queue.js";
import { OnExpiry, OnPoison as WireOnPoison } from "../../generated/tidemark/v1/settings.js";
import type { QueueSettings, QueueUpdate } from "../broker/api.js";
import { changedSettings } from "../broker/queue-settings.js";
import type { Ordering, OwnSettings, SettingChanges } from "../broker/queue-settings.js";
import { LIMITS } from "../core/limits.js";
import { checkName, checkText, invalidField } from "../core/names.js";
import type { OnPoison } from "../core/subscription/settings.js";
import { notBuiltYet } from "./from-wire.js";
import { durationMs, exactNumber } from "./wire-numbers.js";

/** `*` in an update_mask. */
const ALL_FIELDS = "*";
const U32_MAX = 0xffff_ffff;

/**
 * One field of a queue that may be set: what the request says there, undefined when it says nothing. Throws INVALID_FIELD for
 * a value that is not allowed, and NOT_BUILT_YET for one that is not served; the second kind of field has no setting.
 */
type Reader = (queue: Queue, field: string) => SettingChanges;

const NOTHING: OwnSettings = {};

/** Every path that an update_mask may name, and by which another one begins. */
const FIELDS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["retention.mode", ({ retention }, field) => notYet(field, retention !== undefined && retention.mode !== RetentionMode.UNSPECIFIED && retention.mode !== RetentionMode.UNTIL_ACKED)],
  ["retention.max_age", ({ retention }, field) => notYet(field, retention?.maxAge !== undefined)],
  ["retention.max_bytes", ({ retention }, field) => notYet(field, (retention?.maxBytes ?? 0n) !== 0n)],
  ["retention.max_messages", ({ retention }, field) => notYet(field, (retention?.maxMessages ?? 0n) !== 0n)],
  ["retention.when_full", ({ retention }, field) => notYet(field, retention !== undefined && retention.whenFull !== WhenFull.UNSPECIFIED && retention.whenFull !== WhenFull.REJECT_NEW)],
  ["dedup_window", ({ dedupWindow }, field) => ({ dedupWindowMs: durationMs(field, dedupWindow, 0, LIMITS.dedupWindowMsMax) })],
  ["dedup_ids_max", ({ dedupIdsMax }, field) => ({ dedupIdsMax: orUnset(exactNumber(field, dedupIdsMax, LIMITS.dedupIdsAllowedMax)) })],
  ["subscriber_defaults.ack_timeout", ({ subscriberDefaults: from }, field) => ({ ackTimeoutMs: durationMs(field, from?.ackTimeout, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax) })],
  ["subscriber_defaults.max_attempts", ({ subscriberDefaults: from }) => ({ maxAttempts: orUnset(from?.maxAttempts) })],
  ["subscriber_defaults.backoff.min_delay", ({ subscriberDefaults: from }, field) => ({ backoffMinMs: durationMs(field, from?.backoff?.minDelay, 0, LIMITS.backoffMsMax) })],
  ["subscriber_defaults.backoff.max_delay", ({ subscriberDefaults: from }, field) => ({ backoffMaxMs: durationMs(field, from?.backoff?.maxDelay, 0, LIMITS.backoffMsMax) })],
  ["subscriber_defaults.backoff.factor", ({ subscriberDefaults: from }, field) => ({ backoffFactor: inRange(field, from?.backoff?.factor, 1, LIMITS.backoffFactorMax) })],
  ["subscriber_defaults.on_poison", ({ subscriberDefaults: from }, field) => ({ onPoison: onPoison(field, from?.onPoison) })],
  ["subscriber_defaults.max_deliveries", ({ subscriberDefaults: from }, field) => ({ maxDeliveries: inRange(field, from?.maxDeliveries, LIMITS.maxDeliveriesMin, U32_MAX) })],
  ["subscriber_defaults.max_unsettled", ({ subscriberDefaults: from }) => ({ maxUnsettled: orUnset(from?.maxUnsettled) })],
  ["subscriber_defaults.window_messages", ({ subscriberDefaults: from }, field) => ({ flowMessages: inRange(field, from?.windowMessages, 1, LIMITS.flowMessagesMax) })],
  ["subscriber_defaults.window_bytes", ({ subscriberDefaults: from }, field) => ({ flowBytes: orUnset(exactNumber(field, from?.windowBytes ?? 0n, LIMITS.flowBytesMax)) })],
  ["subscriber_defaults.expire_after", ({ subscriberDefaults: from }, field) => notYet(field, from?.expireAfter !== undefined && (from.expireAfter.seconds !== 0n || from.expireAfter.nanos !== 0))],
  ["subscriber_defaults.on_expiry", ({ subscriberDefaults: from }, field) => notYet(field, from !== undefined && from.onExpiry !== OnExpiry.UNSPECIFIED && from.onExpiry !== OnExpiry.SETTLE)],
]);
const PATHS = [...FIELDS.keys()];

/** What CreateQueue says of a queue. */
export function newQueue(wire: Queue | undefined): QueueSettings {
  const queue = present(wire);
  return { name: checkName("queue.name", queue.name), ordering: ordering(queue.ordering) ?? "UNORDERED", own: changedSettings(NOTHING, read(queue, PATHS)) };
}

/**
 * What UpdateQueue wants changed. Without a mask, or with an empty one: what is set; an ordering is then a claim, since a caller
 * may send back what it got.
 */
export function queueUpdate(wire: Queue | undefined, mask: readonly string[] | undefined): QueueUpdate {
  const queue = present(wire);
  const name = checkName("queue.name", queue.name);
  const queueId = checkText("queue.queue_id", queue.queueId, LIMITS.nameLengthMax);
  if (mask === undefined || mask.length === 0) return { name, queueId, ordering: ordering(queue.ordering), changes: changedSettings(NOTHING, read(queue, PATHS)) };
  return { name, queueId, ordering: undefined, changes: read(queue, mask.flatMap(pathsUnder)) };
}

function present(wire: Queue | undefined): Queue {
  if (wire === undefined) throw invalidField("queue", "", "a queue with a name");
  return wire;
}

function read(queue: Queue, paths: readonly string[]): SettingChanges {
  return Object.assign({}, ...paths.map((path) => FIELDS.get(path)?.(queue, `queue.${path}`))) as SettingChanges;
}

/** The fields that one path of a mask stands for: itself, or all below it. */
function pathsUnder(path: string): readonly string[] {
  if (path === ALL_FIELDS) return PATHS;
  const under = PATHS.filter((each) => each === path || each.startsWith(`${path}.`));
  if (under.length === 0) throw invalidField("update_mask", path, `*, ${PATHS.join(", ")}, or what these begin with`);
  return under;
}

/** A field that is not served: only what holds anyway may be said of it. */
function notYet(field: string, saysOtherwise: boolean): SettingChanges {
  if (saysOtherwise) throw notBuiltYet(field);
  return NOTHING;
}

/** 0 means that nothing was said. */
function orUnset(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function inRange(field: string, value: number | undefined, min: number, max: number): number | undefined {
  if (value === undefined || value === 0) return undefined;
  if (!(value >= min && value <= max)) throw invalidField(field, String(value), `${min} to ${max}`);
  return value;
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

/** Undefined when nothing is said. */
function ordering(wire: WireOrdering): Ordering | undefined {
  switch (wire) {
    case WireOrdering.UNSPECIFIED:
      return undefined;
    case WireOrdering.UNORDERED:
      return "UNORDERED";
    case WireOrdering.ORDERED:
      return "ORDERED";
    default:
      throw invalidField("queue.ordering", String(wire), "ORDERING_UNORDERED or ORDERING_ORDERED");
  }
}
