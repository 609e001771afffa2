import { EncodedMessages } from "../core/encoded-messages.js";
import { laneHash } from "../core/hash.js";
import { LIMITS } from "../core/limits.js";
import { isReservedHeader, isEvent } from "../core/names.js";
import { ADDED_BYTES_MAX } from "./from-wire.js";
import type { ScanCursor } from "./scan-cursor.js";

/** Tags of `NewMessage`, in the order in which they are stored, and of its map entries. */
const TAG_EVENT = 0x12;
const TAG_PAYLOAD = 0x1a;
const TAG_HEADER = 0x22;
const TAG_ORDERING_KEY = 0x32;
const TAG_HEADER_KEY = 0x0a;
const TAG_HEADER_VALUE = 0x12;
/** Names are compared with each other; more headers than this are left to the full decoder. */
const HEADERS_MAX = 16;

/** Columns of the frame in hand, copied when it is done. */
const starts = new Uint32Array(LIMITS.batchMessagesMax);
const ends = new Uint32Array(LIMITS.batchMessagesMax);
const eventIndexes = new Uint16Array(LIMITS.batchMessagesMax);

/** Gathers the messages of one frame, as long as they are valid, have no id, and are encoded just as they are stored. */
export class MessageScan {
  private count = 0;
  private readonly events: string[] = [];
  private event = 0;
  /** Where the bytes of that event are. */
  private eventAt = 0;
  private eventBytes = -1;
  private laneHashes: BigUint64Array | undefined;
  private readonly headerNames: number[] = [];

  constructor(private readonly cursor: ScanCursor) {}

  /** Moves over one message, its length in front. False: it is unusual or invalid. */
  add(frameEnd: number): boolean {
    const { cursor } = this;
    const length = cursor.length(frameEnd);
    if (length < 0 || length + ADDED_BYTES_MAX > LIMITS.messageBytesMax || this.count === LIMITS.batchMessagesMax) return false;
    const start = cursor.at;
    const end = start + length;
    starts[this.count] = start;
    ends[this.count] = end;
    if (!this.hasEvent(end)) return false;
    if (this.isNext(TAG_PAYLOAD, end)) {
      const payloadBytes = cursor.length(end);
      if (payloadBytes <= 0) return false;
      cursor.at += payloadBytes;
    }
    if (cursor.bytes[cursor.at] === TAG_HEADER && !this.hasHeaders(end)) return false;
    if (this.isNext(TAG_ORDERING_KEY, end) && !this.hasKey(end)) return false;
    eventIndexes[this.count++] = this.event;
    return cursor.at === end;
  }

  /** What was added; undefined: nothing. */
  messages(): EncodedMessages | undefined {
    const { count } = this;
    if (count === 0) return undefined;
    return new EncodedMessages(this.cursor.bytes, starts.slice(0, count), ends.slice(0, count), this.events, eventIndexes.slice(0, count), this.laneHashes?.slice(0, count));
  }

  /** Moves over a tag that is the next one. */
  private isNext(tag: number, end: number): boolean {
    if (this.cursor.at >= end || this.cursor.bytes[this.cursor.at] !== tag) return false;
    this.cursor.at++;
    return true;
  }

  private hasEvent(end: number): boolean {
    const { cursor } = this;
    if (!this.isNext(TAG_EVENT, end)) return false;
    const length = cursor.length(end);
    if (length <= 0) return false;
    const at = cursor.at;
    cursor.at += length;
    if (length === this.eventBytes && cursor.same(at, this.eventAt, length)) return true;
    const event = cursor.bytes.toString("latin1", at, cursor.at);
    if (!isEvent(event)) return false;
    const known = this.events.indexOf(event);
    this.event = known < 0 ? this.events.push(event) - 1 : known;
    this.eventAt = at;
    this.eventBytes = length;
    return true;
  }

  private hasKey(end: number): boolean {
    const { cursor } = this;
    const length = cursor.ascii(end, LIMITS.orderingKeyBytesMax);
    if (length <= 0) return false;
    this.laneHashes ??= new BigUint64Array(LIMITS.batchMessagesMax);
    this.laneHashes[this.count] = laneHash(cursor.bytes.toString("latin1", cursor.at - length, cursor.at));
    return true;
  }

  private hasHeaders(end: number): boolean {
    const { cursor, headerNames } = this;
    headerNames.length = 0;
    let bytes = 0;
    while (this.isNext(TAG_HEADER, end)) {
      const entryBytes = cursor.length(end);
      if (entryBytes < 0) return false;
      const entryEnd = cursor.at + entryBytes;
      if (!this.isNext(TAG_HEADER_KEY, entryEnd)) return false;
      const nameBytes = cursor.ascii(entryEnd, LIMITS.headerBytesMax);
      if (nameBytes <= 0 || !this.isNewHeader(cursor.at - nameBytes, nameBytes) || !this.isNext(TAG_HEADER_VALUE, entryEnd)) return false;
      const valueBytes = cursor.ascii(entryEnd, LIMITS.headerBytesMax);
      if (valueBytes < 0 || cursor.at !== entryEnd) return false;
      bytes += nameBytes + valueBytes;
    }
    return bytes <= LIMITS.headerBytesMax;
  }

  /** Whether a header's name is no other's, and not the broker's own. */
  private isNewHeader(at: number, bytes: number): boolean {
    const { cursor, headerNames } = this;
    if (headerNames.length === 2 * HEADERS_MAX || isReservedHeader(cursor.bytes.toString("latin1", at, at + bytes))) return false;
    for (let i = 0; i < headerNames.length; i += 2) {
      if (headerNames[i + 1] === bytes && cursor.same(headerNames[i] ?? 0, at, bytes)) return false;
    }
    headerNames.push(at, bytes);
    return true;
  }
}
