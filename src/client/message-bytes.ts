/**
 * One message of a Deliveries frame, read field by field from the bytes that came. `isPlainMessage` has to have passed them:
 * everything else here relies on it. Of a field that is there twice, the last one counts.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Timestamp } from "../../generated/google/protobuf/timestamp.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** Tags of Message that deliveries have getters for, with a length behind them. */
export const TAG = { event: 0x12, payload: 0x1a, header: 0x22, messageId: 0x2a, orderingKey: 0x32, publishTime: 0x3a } as const;
type Tag = (typeof TAG)[keyof typeof TAG];

const TAG_OFFSET = 0x09;
const TAG_EXPIRE_TIME = 0x42;
const TAG_ORIGIN_OFFSET = 0x48;
const TAG_TEXT = 0x52;
const TAG_HEADER_KEY = 0x0a;
const TAG_HEADER_VALUE = 0x12;
const TAG_SECONDS = 0x08;
const TAG_NANOS = 0x10;

const FIXED64_BYTES = 8;
const VARINT_BYTES_MAX = 10;
const LENGTH_BYTES_MAX = 5;

/** Whether these bytes are a message of known fields only, each within its bounds, with the offset first or left out. */
export function isPlainMessage(bytes: Buffer, start: number, end: number): boolean {
  let at = bytes[start] === TAG_OFFSET ? start + 1 + FIXED64_BYTES : start;
  while (at < end) {
    const tag = bytes[at++];
    if (tag === TAG.event || tag === TAG.payload || tag === TAG.messageId || tag === TAG.orderingKey || tag === TAG_TEXT) {
      at = behindBytes(bytes, at);
    } else if (tag === TAG.publishTime || tag === TAG_EXPIRE_TIME) {
      const behind = behindBytes(bytes, at);
      if (behind > end || !isPlainTimestamp(bytes, behindVarint(bytes, at), behind)) return false;
      at = behind;
    } else if (tag === TAG.header) {
      const behind = behindBytes(bytes, at);
      if (behind > end || !isPlainHeader(bytes, behindVarint(bytes, at), behind)) return false;
      at = behind;
    } else if (tag === TAG_ORIGIN_OFFSET) at = behindVarint(bytes, at);
    else return false;
  }
  return at === end;
}

/** The offset; one that is no safe integer is refused. */
export function messageOffset(bytes: Buffer, start: number): number {
  if (bytes[start] !== TAG_OFFSET) return 0;
  const value = bytes.readUInt32LE(start + 1) + bytes.readUInt32LE(start + 5) * 0x1_0000_0000;
  return Number.isSafeInteger(value) ? value : safeNumber(bytes.readBigUInt64LE(start + 1), "offset");
}

/** A view of the content of a field; empty when there is none. */
export function messageField(bytes: Buffer, start: number, end: number, tag: Tag): Buffer {
  const at = lastField(bytes, start, end, tag);
  return at === undefined ? bytes.subarray(0, 0) : bytes.subarray(behindVarint(bytes, at), behindBytes(bytes, at));
}

/** The content of a field as UTF-8; empty when there is none. */
export function messageText(bytes: Buffer, start: number, end: number, tag: Tag): string {
  const at = lastField(bytes, start, end, tag);
  return at === undefined ? "" : bytes.toString("utf8", behindVarint(bytes, at), behindBytes(bytes, at));
}

export function messageHeaders(bytes: Buffer, start: number, end: number): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = start; at < end; at = behindField(bytes, at)) {
    if (bytes[at] !== TAG.header) continue;
    const [from, behind] = [behindVarint(bytes, at + 1), behindBytes(bytes, at + 1)];
    headers[headerPart(bytes, from, behind, TAG_HEADER_KEY)] = headerPart(bytes, from, behind, TAG_HEADER_VALUE);
  }
  return headers;
}

/** Undefined if the broker did not say. */
export function messagePublishTime(bytes: Buffer, start: number, end: number): Date | undefined {
  return messageTime(bytes, start, end, TAG.publishTime);
}

/** Undefined: it never expires. */
export function messageExpireTime(bytes: Buffer, start: number, end: number): Date | undefined {
  return messageTime(bytes, start, end, TAG_EXPIRE_TIME);
}

function messageTime(bytes: Buffer, start: number, end: number, tag: number): Date | undefined {
  const at = lastField(bytes, start, end, tag);
  return at === undefined ? undefined : timestampToDate(Timestamp.decode(bytes.subarray(behindVarint(bytes, at), behindBytes(bytes, at))));
}

/** 0 when there is none; one that is no safe integer is refused. */
export function messageOriginOffset(bytes: Buffer, start: number, end: number): number {
  const at = lastField(bytes, start, end, TAG_ORIGIN_OFFSET);
  return at === undefined ? 0 : safeNumber(new BinaryReader(bytes.subarray(at, end)).uint64() as bigint, "origin_offset");
}

/** The place behind a length and as many bytes; Infinity when that is no sensible length. */
export function behindBytes(bytes: Buffer, at: number): number {
  return behindVarint(bytes, at) + lengthAt(bytes, at);
}

/** The place behind a varint; Infinity when it has too many bytes. */
export function behindVarint(bytes: Buffer, at: number): number {
  let last = at;
  while ((bytes[last] ?? 0) >= 0x80) last++;
  return last - at < VARINT_BYTES_MAX ? last + 1 : Infinity;
}

/** The varint that stands there as a length; Infinity when it is none. */
export function lengthAt(bytes: Buffer, at: number): number {
  let length = 0;
  let factor = 1;
  for (let i = at; i < at + LENGTH_BYTES_MAX; i++) {
    const byte = bytes[i];
    if (byte === undefined) return Infinity;
    length += (byte & 0x7f) * factor;
    if (byte < 0x80) return length;
    factor *= 0x80;
  }
  return Infinity;
}

/** Where the content of the last field with this tag stands, or the length before it. */
function lastField(bytes: Buffer, start: number, end: number, tag: number): number | undefined {
  let found: number | undefined;
  for (let at = start; at < end; at = behindField(bytes, at)) if (bytes[at] === tag) found = at + 1;
  return found;
}

/** The place behind the field whose tag stands here. */
function behindField(bytes: Buffer, at: number): number {
  const tag = bytes[at];
  if (tag === TAG_OFFSET) return at + 1 + FIXED64_BYTES;
  return tag === TAG_ORIGIN_OFFSET ? behindVarint(bytes, at + 1) : behindBytes(bytes, at + 1);
}

function headerPart(bytes: Buffer, start: number, end: number, tag: number): string {
  let part = "";
  for (let at = start; at < end; at = behindBytes(bytes, at + 1)) {
    if (bytes[at] === tag) part = bytes.toString("utf8", behindVarint(bytes, at + 1), behindBytes(bytes, at + 1));
  }
  return part;
}

function isPlainHeader(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  while (at < end && (bytes[at] === TAG_HEADER_KEY || bytes[at] === TAG_HEADER_VALUE)) at = behindBytes(bytes, at + 1);
  return at === end;
}

function isPlainTimestamp(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  while (at < end && (bytes[at] === TAG_SECONDS || bytes[at] === TAG_NANOS)) at = behindVarint(bytes, at + 1);
  return at === end;
}
