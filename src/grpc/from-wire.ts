import type { NewMessage as WireMessage } from "../../generated/tidemark/v1/message.js";
import type { DeliveryRange, FlowControl, Settlement as WireSettlement } from "../../generated/tidemark/v1/subscribe.js";
import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { storedMessageBytes } from "../core/message-codec.js";
import type { NewMessage } from "../core/message.js";
import { checkEvent, checkHeaders, checkText, invalidField } from "../core/names.js";
import type { When } from "../core/schedule.js";
import type { DeliveryRun, FlowWindow, Settlement } from "../core/session.js";
import { offset, wallMs } from "../core/units.js";
import { clampedDurationMs, clampedNumber, durationMs, exactNumber, wallTimeMs } from "./wire-numbers.js";

/** What a message may take as stored beyond what it took in the request: offset, publish and expire time, wider lengths. */
export const ADDED_BYTES_MAX = 48;

/** A publish time that takes as many bytes as any until the year 2286, so that a size does not depend on the clock. */
const WIDEST_TIME = wallMs(9_999_999_999_999);

/** Fields of `when`, as the `.proto` spells them. */
const WHEN_FIELDS = { delay: "delay", deliverTime: "deliver_time" } as const;

/**
 * A message as the broker takes it; INVALID_FIELD or MESSAGE_TOO_LARGE otherwise.
 * @param requestBytes size of the request that it came in: a small one needs no measuring
 */
export function newMessage(field: string, wire: WireMessage | undefined, requestBytes: number): NewMessage {
  if (wire === undefined) throw invalidField(field, "", "a message");
  const ttlMs = durationMs(`${field}.ttl`, wire.ttl, 1, LIMITS.ttlMsMax);
  const message: NewMessage = {
    event: checkEvent(`${field}.event`, wire.event),
    payload: payload(wire.body),
    headers: checkHeaders(`${field}.headers`, Object.entries(wire.headers)),
    messageId: checkText(`${field}.message_id`, wire.messageId, LIMITS.messageIdBytesMax),
    orderingKey: checkText(`${field}.ordering_key`, wire.orderingKey, LIMITS.orderingKeyBytesMax),
    ...(ttlMs !== undefined && { ttlMs }),
  };
  if (requestBytes + ADDED_BYTES_MAX > LIMITS.messageBytesMax) {
    const bytes = storedMessageBytes(message, WIDEST_TIME);
    if (bytes > LIMITS.messageBytesMax) throw tooLarge("MESSAGE_TOO_LARGE", field, "one message", bytes, LIMITS.messageBytesMax);
  }
  return message;
}

/** When a message is to be due; undefined: now. How far ahead that may be is the queue's to say, since it has the clock. */
export function whenDue(field: string, wire: WireMessage): When | undefined {
  if (wire.when === undefined) return undefined;
  if (wire.when.$case === "deliverTime") return { deliverTimeMs: wallMs(wallTimeMs(`${field}.deliver_time`, wire.when.value)) };
  return { delayMs: durationMs(`${field}.delay`, wire.when.value, 0, LIMITS.scheduleAheadMsMax) ?? 0 };
}

/** As `newMessage`, for a message among others: those cannot be put off. */
export function batchedMessage(field: string, wire: WireMessage, requestBytes: number): NewMessage {
  if (wire.when !== undefined) {
    throw invalidField(`${field}.${WHEN_FIELDS[wire.when.$case]}`, "set", "nothing: only a message that is published alone, with Publish, may be put off");
  }
  return newMessage(field, wire, requestBytes);
}

/** The messages of one batch, all valid and small enough together; the first bad one is thrown. */
export function newMessages(field: string, wire: readonly WireMessage[], requestBytes: number): readonly NewMessage[] {
  checkMessageCount(field, wire.length);
  const messages = wire.map((message, i) => batchedMessage(`${field}[${i}]`, message, requestBytes));
  checkBatchSize(field, messages, requestBytes);
  return messages;
}

/** INVALID_FIELD when a batch has no message, BATCH_TOO_LARGE when it has too many. */
export function checkMessageCount(field: string, count: number): void {
  if (count === 0) throw invalidField(field, "0 messages", `1 to ${LIMITS.batchMessagesMax} messages`);
  if (count > LIMITS.batchMessagesMax) {
    throw new BrokerError("BATCH_TOO_LARGE", `${field} has ${count} messages; at most ${LIMITS.batchMessagesMax} may go together`, {
      field,
      value: String(count),
      limit: String(LIMITS.batchMessagesMax),
    });
  }
}

/** BATCH_TOO_LARGE when the messages together take too many bytes as stored. */
export function checkBatchSize(field: string, messages: readonly NewMessage[], requestBytes: number): void {
  if (requestBytes + messages.length * ADDED_BYTES_MAX <= LIMITS.batchBytesMax) return;
  let bytes = 0;
  for (const message of messages) bytes += storedMessageBytes(message, WIDEST_TIME);
  if (bytes > LIMITS.batchBytesMax) throw tooLarge("BATCH_TOO_LARGE", field, "one batch", bytes, LIMITS.batchBytesMax);
}

function tooLarge(reason: "MESSAGE_TOO_LARGE" | "BATCH_TOO_LARGE", field: string, what: string, bytes: number, bytesMax: number): BrokerError {
  return new BrokerError(reason, `${field} takes ${bytes} bytes as stored; ${what} may take ${bytesMax}`, {
    field,
    value: String(bytes),
    limit: String(bytesMax),
  });
}

/** The condition of a conditional publish; undefined when there is none. */
export function expectedLastOffset(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : exactNumber("expected_last_offset", value);
}

/** What is asked for, up to a bound; 0: the default. */
export function clampedOr(defaultValue: number, value: number, max: number): number {
  return value === 0 ? defaultValue : Math.min(value, max);
}

/** A session's window. Values above what the server grants are clamped; `opened` tells the effective ones. */
export function flowWindow(wire: FlowControl | undefined): FlowWindow {
  return {
    maxMessages: Math.min(wire?.maxMessages ?? 0, LIMITS.flowMessagesMax),
    maxBytes: Math.min(clampedNumber(wire?.maxBytes ?? 0n), LIMITS.flowBytesMax),
    paused: wire?.paused ?? false,
  };
}

/**
 * The verdicts of one settle frame. No item of it is refused: a range that names nothing comes back as a failure, a time out of
 * bounds is the nearer bound, a reason that is too long is cut. INVALID_FIELD is for too many items.
 */
export function settlement(wire: WireSettlement): Settlement {
  const items = wire.acks.length + wire.retries.length + wire.rejects.length + wire.releases.length + wire.extends.length;
  if (items > LIMITS.settleRangesMax) throw invalidField("settle", `${items} ranges`, `up to ${LIMITS.settleRangesMax} ranges in one frame`);
  return {
    acks: wire.acks.map(deliveryRun),
    ackThroughBatchId: clampedNumber(wire.ackThroughBatchId),
    retries: wire.retries.map((retry) => ({
      range: deliveryRun(retry.range ?? NO_RANGE),
      delayMs: clampedDurationMs(retry.delay, 0, LIMITS.retryDelayMsMax),
      reason: keptReason(retry.reason),
    })),
    rejects: wire.rejects.map((reject) => ({
      range: deliveryRun(reject.range ?? NO_RANGE),
      reason: keptReason(reject.reason),
    })),
    releases: wire.releases.map(deliveryRun),
    extends: wire.extends.map((extend) => ({
      range: deliveryRun(extend.range ?? NO_RANGE),
      leaseMs: clampedDurationMs(extend.lease, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax),
    })),
    extendAllMs: clampedDurationMs(wire.extendAll, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax),
  };
}

function payload(body: WireMessage["body"]): Uint8Array {
  if (body === undefined) return EMPTY_PAYLOAD;
  return body.$case === "payload" ? body.value : Buffer.from(body.value);
}

const EMPTY_PAYLOAD = new Uint8Array(0);

/** `last` 0 means only `first`. Numbers beyond any offset stay beyond any offset. */
function deliveryRun(wire: DeliveryRange): DeliveryRun {
  const first = offset(clampedNumber(wire.first));
  return { first, last: wire.last === 0n ? first : offset(clampedNumber(wire.last)), batchId: clampedNumber(wire.batchId) };
}

/** A verdict without a range is one on nothing. */
const NO_RANGE: DeliveryRange = { first: 0n, last: 0n, batchId: 0n };

/** The consumer's words, cut behind the last whole character that is kept. */
function keptReason(reason: string): string {
  // A UTF-16 unit is at most three bytes of UTF-8: short texts need no counting.
  if (reason.length * 3 <= LIMITS.reasonBytesMax) return reason;
  const bytes = Buffer.from(reason);
  if (bytes.length <= LIMITS.reasonBytesMax) return reason;
  let end: number = LIMITS.reasonBytesMax;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
