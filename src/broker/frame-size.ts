import { EncodedMessages } from "../core/encoded-messages.js";
import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { checkMessageSize, publishTimeField, storedFieldsBytes, storedMessageBytes } from "../core/message-codec.js";
import type { NewMessage } from "../core/message.js";
import type { WallMs } from "../core/units.js";
import type { PublishFrame } from "./api.js";

/** A message costs this besides its bytes while it waits: objects, columns, its answer. */
const MESSAGE_OVERHEAD_BYTES = 256;
/** The same of a message that stays encoded: its columns, twice, while they grow. */
const ENCODED_OVERHEAD_BYTES = 32;
/** UTF-8 takes at most three bytes for one UTF-16 unit. */
const BYTES_PER_UNIT_MAX = 3;
/** All tags, lengths and fixed fields of one stored message, headers included. */
const FRAMING_BYTES_MAX = 1_024;

/** What a waiting frame counts against its queue's bounds: about the memory that it holds on to. */
export function frameCharge({ messages }: PublishFrame): number {
  if (messages instanceof EncodedMessages) return MESSAGE_OVERHEAD_BYTES + messages.source.length + messages.length * ENCODED_OVERHEAD_BYTES;
  let bytes = MESSAGE_OVERHEAD_BYTES;
  for (const message of messages) bytes += message.payload.length + MESSAGE_OVERHEAD_BYTES;
  return bytes;
}

/** MESSAGE_TOO_LARGE when one message is over its limit as stored. Only large ones are measured to the byte. */
export function checkMessage(message: NewMessage, time: WallMs): void {
  if (bytesAtMost(message) > LIMITS.messageBytesMax) checkMessageSize(message, time);
}

/** Checks an all-or-nothing frame: MESSAGE_TOO_LARGE for one of its messages, BATCH_TOO_LARGE for all of them together. */
export function checkBatch(messages: readonly NewMessage[], time: WallMs): void {
  let atMost = 0;
  for (const message of messages) {
    checkMessage(message, time);
    atMost += bytesAtMost(message);
  }
  if (messages.length === 1 || atMost <= LIMITS.batchBytesMax) return;
  const bytes = storedBytes(messages, time);
  if (bytes > LIMITS.batchBytesMax) {
    throw new BrokerError(
      "BATCH_TOO_LARGE",
      `the ${messages.length} messages take ${bytes} bytes as stored; one batch may take ${LIMITS.batchBytesMax}: send fewer at once`,
      { field: "messages", value: String(bytes), limit: String(LIMITS.batchBytesMax) },
    );
  }
}

/** Bytes of messages as they will be stored. */
export function storedBytes(messages: readonly NewMessage[], time: WallMs): number {
  return messages.reduce((sum, message) => sum + storedMessageBytes(message, time), 0);
}

/** The same of the messages of a run from `from` up to, not including, `to`. */
export function runBytes({ starts, ends }: EncodedMessages, from: number, to: number, time: WallMs): number {
  const timeBytes = publishTimeField(time).length;
  let bytes = 0;
  for (let index = from; index < to; index++) bytes += storedFieldsBytes((ends[index] ?? 0) - (starts[index] ?? 0), timeBytes);
  return bytes;
}

function bytesAtMost(message: NewMessage): number {
  const units = message.event.length + message.messageId.length + message.orderingKey.length;
  const headers = message.headers.size === 0 ? 0 : LIMITS.headerBytesMax;
  return message.payload.length + BYTES_PER_UNIT_MAX * units + headers + FRAMING_BYTES_MAX;
}
