import { wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import type { QueueId } from "../ports/engine.js";
import { encodeRecord, JsonRecord, RecordCorrupt } from "./json-record.js";
import { QUEUE_FIELDS } from "./queue-settings.js";
import type { Ordering, OwnSettings, QueueField } from "./queue-settings.js";
import { settingsIn } from "./settings-record.js";

/**
 * Keys in the catalog.
 *
 *     q/<queue>       the queue of that name
 *     x/<queue id>    a deleted queue whose data may not all be gone yet
 *     s/<queue id>    this queue may have messages that are put off: it is opened at every start
 */
export const QUEUE_PREFIX = "q/";
export const DELETED_PREFIX = "x/";
export const PUT_OFF_PREFIX = "s/";

const FIELDS = Object.keys(QUEUE_FIELDS) as readonly QueueField[];

/** What the catalog keeps of a queue. */
export interface QueueRecord {
  readonly name: string;
  readonly id: QueueId;
  readonly ordering: Ordering;
  readonly createTimeMs: WallMs;
  /** A record made before queues had settings has none. */
  readonly own: OwnSettings;
}

export function encodeQueueRecord({ id, ordering, createTimeMs, own }: QueueRecord): Buffer {
  return encodeRecord({ id, ordering, createTimeMs, ...own });
}

/** RecordCorrupt on bytes that `encodeQueueRecord` did not make. */
export function decodeQueueRecord(name: string, bytes: Buffer): QueueRecord {
  const record = new JsonRecord(bytes, `the record of queue ${name}`);
  const ordering = record.text("ordering");
  if (ordering !== "UNORDERED" && ordering !== "ORDERED") throw new RecordCorrupt(`queue ${name} has the unknown ordering ${ordering}`);
  return { name, id: record.text("id"), ordering, createTimeMs: wallMs(record.count("createTimeMs")), own: settingsIn(`queue ${name}`, record, FIELDS) };
}
