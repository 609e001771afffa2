import type { NewMessage } from "../../generated/tidemark/v1/message.js";
import { TidemarkError } from "./tidemark-error.js";
import { dateToTimestamp, durationFromMs } from "./wire-time.js";

/** A message to publish. Neither it nor its payload may be changed until the publish has settled. */
export interface OutgoingMessage {
  /** What happened, as dotted tokens: `order.created`. 1 to 16 tokens of `A-Z a-z 0-9 _ -`, 256 bytes at most. */
  readonly event: string;
  /** Any bytes; text is sent as UTF-8. Default: empty. The broker takes 1 MiB a message unless it is set otherwise. */
  readonly payload?: Uint8Array | string;
  /** Up to 64 pairs, 8 KiB in all. Names that start with `tidemark-` are reserved. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Makes sending again safe: the broker stores a message id once within its dedup window (2 minutes by default). Up to 256
   * bytes. The client never makes one up.
   */
  readonly messageId?: string;
  /** Messages with the same key stay in order on an ordered queue. Up to 256 bytes. */
  readonly orderingKey?: string;
  /**
   * How long the message is worth delivering, in milliseconds from its publish time on. Then it counts as settled for whoever has
   * not settled it. Default: for ever.
   */
  readonly ttlMs?: number;
  /**
   * Puts the message off: it takes its place in the queue so many milliseconds after the broker took it, at most 365 days. In a
   * call of its own, so not in order with others, and not in a batch. Not with `deliverTime`. Default: at once.
   */
  readonly delayMs?: number;
  /** As `delayMs`, until this time by the broker's clock. A time that has passed: at once. */
  readonly deliverTime?: Date;
}

/**
 * Turns a message into its wire shape, for calls of their own; `MessageEncoder` is for frames. Names and sizes are for the broker
 * to judge, types are checked here.
 */
export function wireMessage(queue: string, message: OutgoingMessage): NewMessage {
  mustBeString("queue", queue);
  const { event, payload = "", headers = {}, messageId = "", orderingKey = "" } = message;
  mustBeString("event", event);
  mustBeString("messageId", messageId);
  mustBeString("orderingKey", orderingKey);
  for (const [name, value] of Object.entries(headers)) mustBeString(`headers[${JSON.stringify(name)}]`, value);
  return { event, body: { $case: "payload", value: payloadBuffer(payload) }, headers, messageId, orderingKey, ttl: wireTtl(message), when: wireWhen(message) };
}

function wireTtl({ ttlMs }: OutgoingMessage): NewMessage["ttl"] {
  if (ttlMs === undefined) return undefined;
  if (!(ttlMs > 0 && ttlMs < Infinity)) throw badTime("ttlMs", `it must be a number of milliseconds above 0, not ${String(ttlMs)}`);
  return durationFromMs(ttlMs);
}

/** Whether a message is to travel in a call of its own, since frames that are written by hand do not have its fields. */
export function isTimed({ ttlMs, delayMs, deliverTime }: OutgoingMessage): boolean {
  return ttlMs !== undefined || delayMs !== undefined || deliverTime !== undefined;
}

function wireWhen({ delayMs, deliverTime }: OutgoingMessage): NewMessage["when"] {
  if (delayMs !== undefined && deliverTime !== undefined) throw badTime("deliverTime", "it cannot go with delayMs; leave one out");
  if (delayMs !== undefined) {
    if (!Number.isFinite(delayMs)) throw badTime("delayMs", `it must be a number of milliseconds, not ${String(delayMs)}`);
    return { $case: "delay", value: durationFromMs(delayMs) };
  }
  if (deliverTime === undefined) return undefined;
  if (!(deliverTime instanceof Date) || Number.isNaN(deliverTime.getTime())) throw badTime("deliverTime", "it must be a valid Date");
  return { $case: "deliverTime", value: dateToTimestamp(deliverTime) };
}

function badTime(field: string, words: string): TidemarkError {
  return new TidemarkError("INVALID_ARGUMENT", "INVALID_FIELD", `${field}: ${words}`, { field });
}

/** The error for a payload that is neither bytes nor text. */
export function payloadProblem(payload: unknown): TidemarkError {
  return new TidemarkError("INVALID_ARGUMENT", "INVALID_FIELD", `payload must be bytes or text, not ${typeof payload}; JSON.stringify it first`, {
    field: "payload",
  });
}

/** Throws INVALID_FIELD for what a caller without types may have passed. */
export function mustBeString(field: string, value: unknown): void {
  if (typeof value !== "string") {
    throw new TidemarkError("INVALID_ARGUMENT", "INVALID_FIELD", `${field} must be a string, not ${typeof value}`, { field });
  }
}

function payloadBuffer(payload: unknown): Buffer {
  if (typeof payload === "string") return Buffer.from(payload);
  if (Buffer.isBuffer(payload)) return payload;
  if (payload instanceof Uint8Array) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  throw payloadProblem(payload);
}
