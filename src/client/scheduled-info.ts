import { Message } from "../../generated/tidemark/v1/message.js";
import type { ScheduledMessage } from "../../generated/tidemark/v1/scheduled_message.js";
import { safeNumber } from "./safe-number.js";
import { type StoredMessage, storedMessage } from "./stored-message.js";
import { timestampToDate } from "./wire-time.js";

/** A message that is put off: accepted, and not due yet. */
export interface ScheduledInfo {
  readonly queue: string;
  /** Its identity in the queue until it is due. */
  readonly scheduleId: string;
  /** Its offset is 0, and it has no publish time, until it is due. */
  readonly message: StoredMessage;
  /** When it is due. Undefined if the broker did not say. */
  readonly deliverTime: Date | undefined;
  /** When the broker took it. Undefined if the broker did not say. */
  readonly acceptTime: Date | undefined;
  readonly payloadBytes: number;
}

/** Which messages to list, and how. */
export interface ScheduledOptions {
  /** Leaves payloads out, which are then empty; `payloadBytes` says how large they are. Default: false. */
  readonly omitPayload?: boolean;
}

export function scheduledInfo(scheduled: ScheduledMessage): ScheduledInfo {
  const { queue, scheduleId, message, deliverTime, acceptTime, payloadBytes } = scheduled;
  return {
    queue,
    scheduleId,
    message: storedMessage(message ?? Message.create()),
    deliverTime: deliverTime === undefined ? undefined : timestampToDate(deliverTime),
    acceptTime: acceptTime === undefined ? undefined : timestampToDate(acceptTime),
    payloadBytes: safeNumber(payloadBytes, "payload_bytes"),
  };
}
