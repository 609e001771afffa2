import { offset } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import type { QueueView } from "../ports/telemetry.js";
import type { QueueInfo } from "./api.js";
import type { QueueLog } from "./queue-log.js";
import type { QueueRecord } from "./queue-record.js";
import type { Subscribers } from "./subscribers.js";

/** A queue as it is now. */
export function queueInfo({ name, id, ordering, createTimeMs, own }: QueueRecord, log: QueueLog, subscribers: Subscribers, scheduledCount: number, lastPublishTimeMs: WallMs | undefined): QueueInfo {
  const { first, next, messages, bytes } = log.head();
  return {
    ...{ name, ordering, own, queueId: id, createTimeMs },
    ...{ headOffset: offset(next - 1), firstOffset: first, messageCount: messages, bytes },
    subscriberCount: subscribers.count,
    clientCount: subscribers.sessionCount,
    deadLetterCount: subscribers.deadLetterCount,
    ...{ scheduledCount, lastPublishTimeMs },
  };
}

/** The same for telemetry. */
export function queueView(name: string, log: QueueLog, subscribers: Subscribers, scheduledCount: number, openBatchBytes: number): QueueView {
  const { first, next, messages, bytes } = log.head();
  return {
    ...{ name, headOffset: next - 1, firstOffset: first, messages, bytes, openBatchBytes, scheduledCount },
    subscriberCount: subscribers.count,
    clientCount: subscribers.sessionCount,
    subscribers: () => subscribers.views(),
  };
}
