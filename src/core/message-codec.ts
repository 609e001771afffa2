/**
 * Turns one message into the bytes that are kept on disk and sent to subscribers, and back. One message is field 1 of
 * `tidemark.v1.Deliveries`, so these bytes are wire contract and disk format at once:
 *
 *     0A <varint length>                 field 1 of Deliveries
 *        09 <8 bytes, little-endian>     1 offset: always written, first and fixed, so that it can be patched in place
 *        12 <varint length> …            2 event
 *        1A <varint length> …            3 payload          left out when empty
 *        22 <varint length> …            4 headers          one each: 0A key 12 value
 *        2A <varint length> …            5 message_id       left out when empty
 *        32 <varint length> …            6 ordering_key     left out when empty
 *        3A <varint length> …            7 publish_time     08 seconds 10 nanos
 *        42 <varint length> …            8 expire_time      likewise; only of a message with a ttl
 *
 *        48 <varint>                     9 origin_offset    only of a copy that was replayed: replayed-message.ts
 */
import { BrokerError } from "./errors.js";
import { LIMITS } from "./limits.js";
import type { NewMessage } from "./message.js";
import { offset, wallMs } from "./units.js";
import type { Offset, WallMs } from "./units.js";
import { MessageFormatError, varintBytes, WireReader, writeText, writeVarint } from "./wire-format.js";

const TAG_DELIVERED = 0x0a;
const TAG_OFFSET = 0x09;
const TAG_EVENT = 0x12;
const TAG_PAYLOAD = 0x1a;
const TAG_HEADER = 0x22;
const TAG_MESSAGE_ID = 0x2a;
const TAG_ORDERING_KEY = 0x32;
const TAG_PUBLISH_TIME = 0x3a;
const TAG_EXPIRE_TIME = 0x42;
/** Of field 9, a varint. */
export const ORIGIN_OFFSET_TAG = 0x48;
const TAG_HEADER_KEY = 0x0a;
const TAG_HEADER_VALUE = 0x12;
const TAG_SECONDS = 0x08;
const TAG_NANOS = 0x10;
/** Tag and eight bytes. */
const OFFSET_FIELD_BYTES = 9;
const NANOS_PER_MS = 1_000_000;

/** A stored message, decoded. `payload` is a view of the bytes that it was read from. */
export interface StoredMessage extends NewMessage {
  readonly offset: Offset;
  readonly payload: Buffer;
  readonly publishTimeMs: WallMs;
  /** Wall time from which it counts as expired; 0 for never. */
  readonly expireTimeMs: WallMs;
  /** Where a replayed message stood before; 0 for any other. */
  readonly originOffset: Offset;
}

/** Bytes of one message as stored, tag and length included: what "one message 1 MiB" is measured by. */
export function storedMessageBytes(message: NewMessage, publishTimeMs: WallMs): number {
  const body = bodyBytes(message, publishTimeMs);
  return 1 + varintBytes(body) + body;
}

/** BrokerError MESSAGE_TOO_LARGE, naming both sizes, when the message is over the limit as stored. Returns its stored bytes. */
export function checkMessageSize(message: NewMessage, publishTimeMs: WallMs): number {
  const bytes = storedMessageBytes(message, publishTimeMs);
  if (bytes > LIMITS.messageBytesMax) {
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      `the message takes ${bytes} bytes as stored (payload, headers and names together); at most ${LIMITS.messageBytesMax} are allowed`,
      { field: "message", value: String(bytes), limit: String(LIMITS.messageBytesMax) },
    );
  }
  return bytes;
}

/**
 * Writes one message at `start` and returns where it ends. `bytes` is its `storedMessageBytes`, and `target` must have that
 * much room. The eight bytes of the offset are left as they were: `patchOffset` must follow.
 */
export function writeMessage(target: Buffer, start: number, message: NewMessage, publishTimeMs: WallMs, bytes: number): number {
  target[start] = TAG_DELIVERED;
  // The length does not count itself: taking its widest guess off first lands on the side of the width that it really has.
  const lengthBytes = varintBytes(bytes - 1 - varintBytes(bytes - 1));
  let position = writeVarint(target, start + 1, bytes - 1 - lengthBytes);
  target[position] = TAG_OFFSET;
  position += OFFSET_FIELD_BYTES;
  position = writeTextField(target, position, TAG_EVENT, message.event);
  if (message.payload.length > 0) {
    target[position] = TAG_PAYLOAD;
    position = writeVarint(target, position + 1, message.payload.length);
    target.set(message.payload, position);
    position += message.payload.length;
  }
  if (message.headers.size > 0) position = writeHeaders(target, position, message.headers);
  position = writeTextField(target, position, TAG_MESSAGE_ID, message.messageId);
  position = writeTextField(target, position, TAG_ORDERING_KEY, message.orderingKey);
  position = writeTime(target, position, TAG_PUBLISH_TIME, publishTimeMs);
  const expireTimeMs = expireTime(message, publishTimeMs);
  return expireTimeMs === 0 ? position : writeTime(target, position, TAG_EXPIRE_TIME, expireTimeMs);
}

/** The wall time from which a message counts as expired; 0 for never. */
export function expireTime({ ttlMs }: NewMessage, publishTimeMs: WallMs): WallMs {
  return wallMs(ttlMs === undefined ? 0 : publishTimeMs + ttlMs);
}

/** The field `publish_time` of a stored message. */
export function publishTimeField(publishTimeMs: WallMs): Buffer {
  const field = Buffer.allocUnsafe(2 + timestampBytes(publishTimeMs));
  writeTime(field, 0, TAG_PUBLISH_TIME, publishTimeMs);
  return field;
}

/** As `storedMessageBytes`, of a message whose fields are encoded already. */
export function storedFieldsBytes(fieldsBytes: number, timeFieldBytes: number): number {
  const body = OFFSET_FIELD_BYTES + fieldsBytes + timeFieldBytes;
  return 1 + varintBytes(body) + body;
}

/**
 * As `writeMessage`, with the fields from `event` to `ordering_key` as they stand between two places of `source`: in the order,
 * and left out when empty, as described above.
 */
export function writeFields(target: Buffer, start: number, source: Buffer, from: number, to: number, timeField: Buffer): number {
  target[start] = TAG_DELIVERED;
  let position = writeVarint(target, start + 1, OFFSET_FIELD_BYTES + to - from + timeField.length);
  target[position] = TAG_OFFSET;
  position += OFFSET_FIELD_BYTES;
  source.copy(target, position, from, to);
  position += to - from;
  for (let i = 0; i < timeField.length; i++) target[position++] = timeField[i] ?? 0;
  return position;
}

/** One message in a buffer of its own, offset 0. For tests and rare paths; batches go through ChunkBuilder. */
export function encodeMessage(message: NewMessage, publishTimeMs: WallMs): Buffer {
  const target = Buffer.allocUnsafe(storedMessageBytes(message, publishTimeMs));
  writeMessage(target, 0, message, publishTimeMs, target.length);
  patchOffset(target, 0, offset(0));
  return target;
}

/** Sets the offset of the stored message that starts at `start`. */
export function patchOffset(target: Buffer, start: number, value: Offset): void {
  let position = start + 1;
  while ((target[position] ?? 0) >= 0x80) position++;
  const field = position + 2;
  target.writeUInt32LE(value % 0x1_0000_0000, field);
  target.writeUInt32LE(Math.floor(value / 0x1_0000_0000), field + 4);
}

/** Reads the stored message that starts at `start`. The payload is a view of `source`. Throws MessageFormatError on bytes that are none. */
export function decodeMessage(source: Buffer, start = 0): StoredMessage {
  const outer = new WireReader(source, start, source.length);
  if (outer.tag() !== TAG_DELIVERED) throw new MessageFormatError(`no stored message starts at byte ${start}`);
  const reader = outer.nested();
  const headers = new Map<string, string>();
  let at = 0;
  let event = "";
  let payload = source.subarray(0, 0);
  let messageId = "";
  let orderingKey = "";
  let publishTimeMs = 0;
  let expireTimeMs = 0;
  let originOffset = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === TAG_OFFSET) at = reader.fixed64();
    else if (tag === TAG_EVENT) event = reader.text();
    else if (tag === TAG_PAYLOAD) payload = reader.bytes();
    else if (tag === TAG_HEADER) readHeader(reader.nested(), headers);
    else if (tag === TAG_MESSAGE_ID) messageId = reader.text();
    else if (tag === TAG_ORDERING_KEY) orderingKey = reader.text();
    else if (tag === TAG_PUBLISH_TIME) publishTimeMs = readTimestamp(reader.nested());
    else if (tag === TAG_EXPIRE_TIME) expireTimeMs = readTimestamp(reader.nested());
    else if (tag === ORIGIN_OFFSET_TAG) originOffset = reader.varint();
    else reader.skip(tag);
  }
  return {
    offset: offset(at),
    event,
    payload,
    headers,
    messageId,
    orderingKey,
    publishTimeMs: wallMs(publishTimeMs),
    expireTimeMs: wallMs(expireTimeMs),
    originOffset: offset(originOffset),
  };
}

function bodyBytes(message: NewMessage, publishTimeMs: WallMs): number {
  let bytes = OFFSET_FIELD_BYTES + textFieldBytes(message.event);
  if (message.payload.length > 0) bytes += 1 + varintBytes(message.payload.length) + message.payload.length;
  if (message.headers.size > 0) {
    for (const [key, value] of message.headers) {
      const entry = headerBytes(key, value);
      bytes += 1 + varintBytes(entry) + entry;
    }
  }
  const timestamp = timestampBytes(publishTimeMs);
  if (message.ttlMs !== undefined) bytes += 2 + timestampBytes(expireTime(message, publishTimeMs));
  return bytes + textFieldBytes(message.messageId) + textFieldBytes(message.orderingKey) + 2 + timestamp;
}

function textFieldBytes(text: string): number {
  if (text === "") return 0;
  const bytes = Buffer.byteLength(text);
  return 1 + varintBytes(bytes) + bytes;
}

function writeTextField(target: Buffer, start: number, tag: number, text: string): number {
  if (text === "") return start;
  const bytes = Buffer.byteLength(text);
  target[start] = tag;
  return writeText(target, writeVarint(target, start + 1, bytes), text, bytes);
}

/** Map entries carry both fields, empty or not, as the generators of Google write them. */
function headerBytes(key: string, value: string): number {
  const keyBytes = Buffer.byteLength(key);
  const valueBytes = Buffer.byteLength(value);
  return 2 + varintBytes(keyBytes) + keyBytes + varintBytes(valueBytes) + valueBytes;
}

function writeHeaders(target: Buffer, start: number, headers: ReadonlyMap<string, string>): number {
  let position = start;
  for (const [key, value] of headers) {
    const keyBytes = Buffer.byteLength(key);
    const valueBytes = Buffer.byteLength(value);
    target[position] = TAG_HEADER;
    position = writeVarint(target, position + 1, headerBytes(key, value));
    target[position] = TAG_HEADER_KEY;
    position = writeText(target, writeVarint(target, position + 1, keyBytes), key, keyBytes);
    target[position] = TAG_HEADER_VALUE;
    position = writeText(target, writeVarint(target, position + 1, valueBytes), value, valueBytes);
  }
  return position;
}

function readHeader(reader: WireReader, headers: Map<string, string>): void {
  let key = "";
  let value = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === TAG_HEADER_KEY) key = reader.text();
    else if (tag === TAG_HEADER_VALUE) value = reader.text();
    else reader.skip(tag);
  }
  headers.set(key, value);
}

/** Of the Timestamp without tag and length. Wall times are whole milliseconds from 1970 on; zero fields are left out. */
function timestampBytes(timeMs: WallMs): number {
  const seconds = Math.floor(timeMs / 1_000);
  const nanos = (timeMs % 1_000) * NANOS_PER_MS;
  return (seconds === 0 ? 0 : 1 + varintBytes(seconds)) + (nanos === 0 ? 0 : 1 + varintBytes(nanos));
}

function writeTime(target: Buffer, start: number, tag: number, timeMs: WallMs): number {
  const seconds = Math.floor(timeMs / 1_000);
  const nanos = (timeMs % 1_000) * NANOS_PER_MS;
  target[start] = tag;
  let position = writeVarint(target, start + 1, timestampBytes(timeMs));
  if (seconds !== 0) {
    target[position] = TAG_SECONDS;
    position = writeVarint(target, position + 1, seconds);
  }
  if (nanos !== 0) {
    target[position] = TAG_NANOS;
    position = writeVarint(target, position + 1, nanos);
  }
  return position;
}

function readTimestamp(reader: WireReader): number {
  let seconds = 0;
  let nanos = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === TAG_SECONDS) seconds = reader.varint();
    else if (tag === TAG_NANOS) nanos = reader.varint();
    else reader.skip(tag);
  }
  return seconds * 1_000 + Math.floor(nanos / NANOS_PER_MS);
}
