import { createHash, hash } from "node:crypto";
import type { NewMessage } from "./message.js";

/** Up to this many bytes are gathered in `scratch` and hashed in one call, which is faster than three updates. */
const SCRATCH_BYTES = 4_096;
const PREFIX_BYTES = 4;
/** Filled and read within one call: nothing of it outlives `fingerprint`. */
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** 64-bit hash of an ordering key; 0 when it is empty. Equal keys share a lane, and so, harmlessly, do colliding ones. */
export function laneHash(orderingKey: string): bigint {
  return orderingKey === "" ? 0n : truncated(hash("sha256", orderingKey, "buffer"));
}

/** 64-bit hash of a message id; 0 when it is empty. */
export function messageIdHash(messageId: string): bigint {
  return messageId === "" ? 0n : truncated(hash("sha256", messageId, "buffer"));
}

/**
 * 64-bit hash of what makes two messages with one id the same: event, ordering key and payload, each with its length in
 * front. Never the headers, which carry traces that change with every retry. Never 0.
 */
export function fingerprint(message: Pick<NewMessage, "event" | "orderingKey" | "payload">): bigint {
  const eventBytes = Buffer.byteLength(message.event);
  const keyBytes = Buffer.byteLength(message.orderingKey);
  const total = 3 * PREFIX_BYTES + eventBytes + keyBytes + message.payload.length;
  if (total > SCRATCH_BYTES) return largeFingerprint(message, eventBytes, keyBytes);
  let position = scratch.writeUInt32LE(eventBytes, 0);
  position += scratch.write(message.event, position);
  position = scratch.writeUInt32LE(keyBytes, position);
  position += scratch.write(message.orderingKey, position);
  position = scratch.writeUInt32LE(message.payload.length, position);
  scratch.set(message.payload, position);
  return truncated(hash("sha256", scratch.subarray(0, total), "buffer"));
}

function largeFingerprint(message: Pick<NewMessage, "event" | "orderingKey" | "payload">, eventBytes: number, keyBytes: number): bigint {
  return truncated(
    createHash("sha256")
      .update(lengthPrefix(eventBytes))
      .update(message.event)
      .update(lengthPrefix(keyBytes))
      .update(message.orderingKey)
      .update(lengthPrefix(message.payload.length))
      .update(message.payload)
      .digest(),
  );
}

function lengthPrefix(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  prefix.writeUInt32LE(length, 0);
  return prefix;
}

/** The first 64 bits of a digest. 0 stands for "none", so the one digest in 2^64 that begins with it counts as 1. */
function truncated(digest: Buffer): bigint {
  const value = digest.readBigUInt64LE(0);
  return value === 0n ? 1n : value;
}
