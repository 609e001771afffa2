import { wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import type { QueueId } from "../ports/engine.js";
import type { Ordering } from "./api.js";
import { encodeRecord, JsonRecord, RecordCorrupt } from "./json-record.js";

/**
 * Keys in the catalog.
 *
 *     q/<queue>       the queue of that name
 *     x/<queue id>    a deleted queue whose data may not all be gone yet
 */
export const QUEUE_PREFIX = "q/";
export const DELETED_PREFIX = "x/";

/** What the catalog keeps of a queue. */
export interface QueueRecord {
  readonly name: string;
  readonly id: QueueId;
  readonly ordering: Ordering;
  readonly createTimeMs: WallMs;
}

export function encodeQueueRecord({ id, ordering, createTimeMs }: QueueRecord): Buffer {
  return encodeRecord({ id, ordering, createTimeMs });
}

/** RecordCorrupt on bytes that `encodeQueueRecord` did not make. */
export function decodeQueueRecord(name: string, bytes: Buffer): QueueRecord {
  const record = new JsonRecord(bytes, `the record of queue ${name}`);
  const ordering = record.text("ordering");
  if (ordering !== "UNORDERED" && ordering !== "ORDERED") throw new RecordCorrupt(`queue ${name} has the unknown ordering ${ordering}`);
  return { name, id: record.text("id"), ordering, createTimeMs: wallMs(record.count("createTimeMs")) };
}
