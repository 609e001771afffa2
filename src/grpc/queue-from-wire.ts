import { Ordering as WireOrdering } from "../../generated/tidemark/v1/queue.js";
import type { Queue } from "../../generated/tidemark/v1/queue.js";
import type { QueueSettings, QueueUpdate } from "../broker/api.js";
import { changedSettings } from "../broker/queue-settings.js";
import type { Ordering, OwnSettings, SettingChanges } from "../broker/queue-settings.js";
import { LIMITS } from "../core/limits.js";
import { checkName, checkText, invalidField } from "../core/names.js";
import { pathsIn, readFields } from "./field-mask.js";
import type { FieldReader, FieldReaders } from "./field-mask.js";
import { RETENTION_MODES, WHEN_FULLS } from "./settings-to-wire.js";
import { orUnset, ruleFromWire, settingReadersUnder } from "./subscriber-settings-from-wire.js";
import { durationMs, exactNumber } from "./wire-numbers.js";

const NOTHING: OwnSettings = {};

/** Every field of a queue that may be set. */
const FIELDS: FieldReaders<Queue, SettingChanges> = new Map<string, FieldReader<Queue, SettingChanges>>([
  ["retention.mode", ({ retention }, field) => ({ retentionMode: ruleFromWire(field, retention?.mode, RETENTION_MODES, "RETENTION_MODE_") })],
  ["retention.max_age", ({ retention }, field) => ({ maxAgeMs: durationMs(field, retention?.maxAge, LIMITS.maxAgeMsMin, LIMITS.maxAgeMsMax) })],
  ["retention.max_bytes", ({ retention }, field) => ({ maxBytes: orUnset(exactNumber(field, retention?.maxBytes ?? 0n)) })],
  ["retention.max_messages", ({ retention }, field) => ({ maxMessages: orUnset(exactNumber(field, retention?.maxMessages ?? 0n)) })],
  ["retention.when_full", ({ retention }, field) => ({ whenFull: ruleFromWire(field, retention?.whenFull, WHEN_FULLS, "WHEN_FULL_") })],
  ["dedup_window", ({ dedupWindow }, field) => ({ dedupWindowMs: durationMs(field, dedupWindow, 0, LIMITS.dedupWindowMsMax) })],
  ["dedup_ids_max", ({ dedupIdsMax }, field) => ({ dedupIdsMax: orUnset(exactNumber(field, dedupIdsMax, LIMITS.dedupIdsAllowedMax)) })],
  ...settingReadersUnder("subscriber_defaults", ({ subscriberDefaults }: Queue) => subscriberDefaults),
]);

/** What CreateQueue says of a queue. */
export function newQueue(wire: Queue | undefined): QueueSettings {
  const queue = present(wire);
  return { name: checkName("queue.name", queue.name), ordering: ordering(queue.ordering) ?? "UNORDERED", own: changedSettings(NOTHING, readFields(FIELDS, "queue", queue)) };
}

/**
 * What UpdateQueue wants changed. Without a mask, or with an empty one: what is set; an ordering is then a claim, since a caller
 * may send back what it got.
 */
export function queueUpdate(wire: Queue | undefined, mask: readonly string[] | undefined): QueueUpdate {
  const queue = present(wire);
  const name = checkName("queue.name", queue.name);
  const queueId = checkText("queue.queue_id", queue.queueId, LIMITS.nameLengthMax);
  if (mask === undefined || mask.length === 0) return { name, queueId, ordering: ordering(queue.ordering), changes: changedSettings(NOTHING, readFields(FIELDS, "queue", queue)) };
  return { name, queueId, ordering: undefined, changes: readFields(FIELDS, "queue", queue, pathsIn(FIELDS, mask)) };
}

function present(wire: Queue | undefined): Queue {
  if (wire === undefined) throw invalidField("queue", "", "a queue with a name");
  return wire;
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
