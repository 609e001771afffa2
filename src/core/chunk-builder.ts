import type { Chunk } from "./chunk.js";
import { sealChunk } from "./chunk-codec.js";
import type { SealedChunk } from "./chunk-codec.js";
import type { EncodedMessages } from "./encoded-messages.js";
import { laneHash } from "./hash.js";
import { LIMITS } from "./limits.js";
import { expireTime, patchOffset, publishTimeField, storedFieldsBytes, storedMessageBytes, writeFields, writeMessage } from "./message-codec.js";
import type { NewMessage } from "./message.js";
import { encodeReplayed } from "./replayed-message.js";
import type { ReplayedMessage } from "./replayed-message.js";
import { offset, wallMs } from "./units.js";
import type { Offset, WallMs } from "./units.js";

const FIRST_BODY_BYTES = 512;
const FIRST_ROWS = 8;

/** What the publisher knows of a message besides its content. */
export interface MessageFacts {
  readonly publishTimeMs: WallMs;
  /** `messageIdHash` of its id; 0n without one. */
  readonly messageIdHash: bigint;
  /** Its `fingerprint`; only kept where there is an id. */
  readonly fingerprint: bigint;
  /** Published in one all-or-nothing batch with the message added before it. */
  readonly joinsPrevious: boolean;
  /** Of a message that was put off: its number in the schedule. */
  readonly scheduleNumber?: number;
}

/**
 * Collects messages for one stored chunk: encodes each straight into the body and its columns, so that a message costs no
 * object of its own. Sealed once, then discarded.
 */
export class ChunkBuilder {
  private body = Buffer.allocUnsafe(FIRST_BODY_BYTES);
  private bodyBytes = 0;
  private rows = 0;
  private firstTimeMs = 0;
  private lastTimeMs = 0;
  private eventIndex = new Uint16Array(FIRST_ROWS);
  private ends = new Uint32Array(FIRST_ROWS);
  private laneHash: BigUint64Array | undefined;
  private messageIdHash: BigUint64Array | undefined;
  private fingerprint: BigUint64Array | undefined;
  private joined: Uint8Array | undefined;
  /** Expire times; of messages with a ttl alone. */
  private expires: Float64Array | undefined;
  /** Of messages that were put off alone, by row. */
  private scheduled: Float64Array | undefined;
  /** Of replayed messages alone, by row. */
  private readonly replayed = new Map<number, ReplayedMessage>();
  private readonly events = new Map<string, number>();

  /** Messages so far. */
  get count(): number {
    return this.rows;
  }

  /** Bytes of the body so far. */
  get bytes(): number {
    return this.bodyBytes;
  }

  /**
   * Takes a message in. False, and nothing changed, when it belongs into the next chunk because this one would grow over
   * LIMITS.chunkMessagesMax or LIMITS.chunkBytesMax; an empty builder takes any message.
   */
  add(message: NewMessage, facts: MessageFacts): boolean {
    const bytes = storedMessageBytes(message, facts.publishTimeMs);
    if (!this.takes(bytes)) return false;
    const row = this.addRow(bytes, this.indexOf(message.event), facts.publishTimeMs);
    writeMessage(this.body, this.bodyBytes - bytes, message, facts.publishTimeMs, bytes);
    if (message.orderingKey !== "") this.setLane(row, laneHash(message.orderingKey));
    if (facts.messageIdHash !== 0n) {
      this.messageIdHash ??= new BigUint64Array(this.ends.length);
      this.fingerprint ??= new BigUint64Array(this.ends.length);
      this.messageIdHash[row] = facts.messageIdHash;
      this.fingerprint[row] = facts.fingerprint;
    }
    if (facts.joinsPrevious) this.join(row);
    if (message.ttlMs !== undefined) {
      this.expires ??= new Float64Array(this.ends.length);
      this.expires[row] = expireTime(message, facts.publishTimeMs);
    }
    if (facts.scheduleNumber !== undefined) {
      this.scheduled ??= new Float64Array(this.ends.length);
      this.scheduled[row] = facts.scheduleNumber;
    }
    return true;
  }

  /** As `add`, for a message that is replayed. It is never deduplicated. */
  addReplayed(copy: ReplayedMessage, publishTimeMs: WallMs): boolean {
    const stored = encodeReplayed(copy, publishTimeMs);
    if (!this.takes(stored.length)) return false;
    const { event, orderingKey } = copy.message;
    const row = this.addRow(stored.length, this.indexOf(event), publishTimeMs);
    stored.copy(this.body, this.bodyBytes - stored.length);
    if (orderingKey !== "") this.setLane(row, laneHash(orderingKey));
    this.replayed.set(row, copy);
    return true;
  }

  /**
   * Takes in the messages of a run from `from` on, as many as belong into this chunk; an empty builder takes at least one.
   * Returns where to go on. `areOne`: they were published all or nothing.
   */
  addRun(run: EncodedMessages, from: number, publishTimeMs: WallMs, areOne: boolean): number {
    const { source, starts, ends, eventIndex, laneHash: lanes } = run;
    const timeField = publishTimeField(publishTimeMs);
    this.reserveRun(run, from, timeField.length);
    let lastEvent = -1;
    let event = 0;
    let index = from;
    for (; index < run.length; index++) {
      const start = starts[index] ?? 0;
      const end = ends[index] ?? 0;
      const bytes = storedFieldsBytes(end - start, timeField.length);
      if (!this.takes(bytes)) break;
      if (eventIndex[index] !== lastEvent) {
        lastEvent = eventIndex[index] ?? 0;
        event = this.indexOf(run.events[lastEvent] ?? "");
      }
      const row = this.addRow(bytes, event, publishTimeMs);
      writeFields(this.body, this.bodyBytes - bytes, source, start, end, timeField);
      if (lanes !== undefined) this.setLane(row, lanes[index] ?? 0n);
      if (areOne && index > 0) this.join(row);
    }
    return index;
  }

  /**
   * Numbers the messages from `first` on and closes the chunk. The other two arguments are the queue's totals before it.
   * There must be a message in it, and the builder must not be used again: its buffers are the chunk's now.
   */
  seal(first: Offset, cumulativeMessages: number, cumulativeBytes: number): SealedChunk {
    const count = this.rows;
    const body = this.trimmedBody();
    let start = 0;
    for (let row = 0; row < count; row++) {
      patchOffset(body, start, offset(first + row));
      start = this.ends[row] ?? start;
    }
    return sealChunk(
      {
        first,
        last: offset(first + count - 1),
        count,
        firstTimeMs: wallMs(this.firstTimeMs),
        lastTimeMs: wallMs(this.lastTimeMs),
        cumulativeMessages: cumulativeMessages + count,
        cumulativeBytes: cumulativeBytes + body.length,
        events: [...this.events.keys()],
        eventIndex: this.eventIndex.subarray(0, count),
        ends: this.ends.subarray(0, count),
        laneHash: this.laneHash?.subarray(0, count),
        messageIdHash: this.messageIdHash?.subarray(0, count),
        fingerprint: this.fingerprint?.subarray(0, count),
        expireTimeMs: this.expires?.subarray(0, count),
        ...this.replayedColumns(),
        scheduleNumber: this.scheduled?.subarray(0, count),
        joined: this.joined?.subarray(0, Math.ceil(count / 8)),
        body: undefined,
      },
      body,
    );
  }

  private takes(bytes: number): boolean {
    return this.rows === 0 || (this.rows < LIMITS.chunkMessagesMax && this.bodyBytes + bytes <= LIMITS.chunkBytesMax);
  }

  /** Makes a row for a message whose bytes are yet to be written, at the end of the body. */
  private addRow(bytes: number, event: number, publishTimeMs: WallMs): number {
    this.reserve(bytes);
    const row = this.rows++;
    this.bodyBytes += bytes;
    this.ends[row] = this.bodyBytes;
    this.eventIndex[row] = event;
    if (row === 0) this.firstTimeMs = publishTimeMs;
    if (publishTimeMs > this.lastTimeMs) this.lastTimeMs = publishTimeMs;
    return row;
  }

  private setLane(row: number, hash: bigint): void {
    if (hash === 0n) return;
    this.laneHash ??= new BigUint64Array(this.ends.length);
    this.laneHash[row] = hash;
  }

  private join(row: number): void {
    this.joined ??= new Uint8Array(this.ends.length / 8);
    this.joined[row >> 3] = (this.joined[row >> 3] ?? 0) | (1 << (row & 7));
  }

  private replayedColumns(): Pick<Chunk, "addressee" | "originOffset"> {
    const { replayed } = this;
    if (replayed.size === 0) return { addressee: undefined };
    return {
      addressee: Array.from({ length: this.rows }, (_, row) => replayed.get(row)?.addressee ?? ""),
      originOffset: Float64Array.from({ length: this.rows }, (_, row) => replayed.get(row)?.originOffset ?? 0),
    };
  }

  private indexOf(event: string): number {
    const known = this.events.get(event);
    if (known !== undefined) return known;
    const index = this.events.size;
    this.events.set(event, index);
    return index;
  }

  /** Makes room for what this chunk may take of a run, at once: growing step by step would allocate twice as much. */
  private reserveRun(run: EncodedMessages, from: number, timeFieldBytes: number): void {
    const rows = Math.min(run.length - from, LIMITS.chunkMessagesMax - this.rows);
    if (rows <= 0) return;
    const fieldsBytes = (run.ends[from + rows - 1] ?? 0) - (run.starts[from] ?? 0);
    const bytes = fieldsBytes + rows * storedFieldsBytes(0, timeFieldBytes);
    const room = LIMITS.chunkBytesMax - this.bodyBytes;
    if (room > 0) this.reserve(Math.min(bytes, room));
    // A column of bits takes whole bytes.
    const columns = Math.ceil((this.rows + rows) / 8) * 8;
    if (columns > this.ends.length) this.growColumns(columns);
  }

  /** Makes room for one more row and `bytes` more of body, doubling what is too small. */
  private reserve(bytes: number): void {
    if (this.bodyBytes + bytes > this.body.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.bodyBytes + bytes, 2 * this.body.length));
      this.body.copy(grown, 0, 0, this.bodyBytes);
      this.body = grown;
    }
    if (this.rows === this.ends.length) this.growColumns(2 * this.ends.length);
  }

  private growColumns(rows: number): void {
    const ends = new Uint32Array(rows);
    ends.set(this.ends);
    this.ends = ends;
    const eventIndex = new Uint16Array(rows);
    eventIndex.set(this.eventIndex);
    this.eventIndex = eventIndex;
    this.laneHash = grownHashes(this.laneHash, rows);
    this.messageIdHash = grownHashes(this.messageIdHash, rows);
    this.fingerprint = grownHashes(this.fingerprint, rows);
    this.expires = grownNumbers(this.expires, rows);
    this.scheduled = grownNumbers(this.scheduled, rows);
    if (this.joined !== undefined) {
      const joined = new Uint8Array(rows / 8);
      joined.set(this.joined);
      this.joined = joined;
    }
  }

  /** The body without its spare room; copied when keeping it would waste more than a quarter. */
  private trimmedBody(): Buffer {
    const used = this.body.subarray(0, this.bodyBytes);
    return this.bodyBytes * 4 >= this.body.length * 3 ? used : Buffer.from(used);
  }
}

function grownHashes(column: BigUint64Array | undefined, rows: number): BigUint64Array | undefined {
  if (column === undefined) return undefined;
  const grown = new BigUint64Array(rows);
  grown.set(column);
  return grown;
}

function grownNumbers(column: Float64Array | undefined, rows: number): Float64Array | undefined {
  if (column === undefined) return undefined;
  const grown = new Float64Array(rows);
  grown.set(column);
  return grown;
}
