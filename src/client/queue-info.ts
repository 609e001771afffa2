import { Durability } from "../../generated/tidemark/v1/message.js";
import { Ordering, type Queue } from "../../generated/tidemark/v1/queue.js";
import { enumName } from "./enum-name.js";
import { type QueueSettings, settingsOfQueue } from "./queue-settings.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** A queue as it was when the broker answered. */
export interface QueueInfo {
  readonly name: string;
  /** The identity of this incarnation: a queue deleted and made again has another. */
  readonly queueId: string;
  /** "UNORDERED" or "ORDERED"; "UNRECOGNIZED" for what is newer than this client. */
  readonly ordering: string;
  /** Undefined if the broker did not say. */
  readonly createTime: Date | undefined;
  /** The last message ever stored; 0: none yet. */
  readonly headOffset: number;
  /** The oldest message that is still there; one beyond the head when there is none. */
  readonly firstOffset: number;
  readonly messageCount: number;
  /** Stored encodings of the messages together. */
  readonly bytes: number;
  /** Durable subscribers. */
  readonly subscriberCount: number;
  /** Open sessions. */
  readonly clientCount: number;
  /** Messages that are put off. */
  readonly scheduledCount: number;
  /** Dead letters of all its subscribers. */
  readonly deadLetterCount: number;
  /** Publish time of the newest message; undefined: none yet, or not known any more. */
  readonly lastPublishTime: Date | undefined;
  /** What an answer is worth: "FSYNC", "QUORUM" or "MEMORY". */
  readonly durability: string;
  /** What the queue sets itself; what it leaves out, it and its subscribers have from the server. */
  readonly settings: QueueSettings;
}

export function queueInfo(queue: Queue): QueueInfo {
  return {
    name: queue.name,
    queueId: queue.queueId,
    ordering: enumName(Ordering, queue.ordering),
    createTime: queue.createTime === undefined ? undefined : timestampToDate(queue.createTime),
    headOffset: safeNumber(queue.headOffset, "head_offset"),
    firstOffset: safeNumber(queue.firstOffset, "first_offset"),
    messageCount: safeNumber(queue.messageCount, "message_count"),
    bytes: safeNumber(queue.bytes, "bytes"),
    subscriberCount: queue.subscriberCount,
    clientCount: queue.clientCount,
    scheduledCount: safeNumber(queue.scheduledCount, "scheduled_count"),
    deadLetterCount: safeNumber(queue.deadLetterCount, "dead_letter_count"),
    lastPublishTime: queue.lastPublishTime === undefined ? undefined : timestampToDate(queue.lastPublishTime),
    durability: enumName(Durability, queue.durability),
    settings: settingsOfQueue(queue),
  };
}
