import type { Message } from "../../generated/tidemark/v1/message.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** A message as it lies in a queue: looked at, not delivered. */
export interface StoredMessage {
  /** Its place in the queue, from 1. */
  readonly offset: number;
  /** Empty in a dead letter whose message could not be read any more. */
  readonly event: string;
  readonly payload: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty: the publisher named none. */
  readonly messageId: string;
  /** Empty: the publisher named none. */
  readonly orderingKey: string;
  /** Undefined if the broker did not say. */
  readonly publishTime: Date | undefined;
  /** From when on it counts as expired. Undefined: never. */
  readonly expireTime: Date | undefined;
  /** Of a copy of a dead letter, which is for one subscriber alone: where it was first published. 0 of any other message. */
  readonly originOffset: number;
}

export function storedMessage(message: Message): StoredMessage {
  const { event, payload, headers, messageId, orderingKey, publishTime, expireTime, originOffset } = message;
  return {
    offset: safeNumber(message.offset, "offset"),
    event,
    payload,
    headers,
    messageId,
    orderingKey,
    publishTime: publishTime === undefined ? undefined : timestampToDate(publishTime),
    expireTime: expireTime === undefined ? undefined : timestampToDate(expireTime),
    originOffset: safeNumber(originOffset, "origin_offset"),
  };
}
