/**
 * The header of a stored chunk. All numbers are little-endian; f64 holds whole numbers up to 2^53. Columns that are read as
 * typed arrays come first, widest first, so that in a header that begins at a multiple of 8 each is aligned.
 *
 *      0  u8   format, 1                      1  u8   optional columns present, one bit each
 *      2  u16  event names                    4  u32  CRC-32 of this header without these four bytes
 *      8  u32  CRC-32 of the body            12  u32  messages
 *     16  u32  bytes of the body             20  u32  bytes of this header
 *     24  f64  first offset                  32  f64  first publish time, ms
 *     40  f64  last publish time, ms         48  f64  messages ever stored in the queue, this chunk included
 *     56  f64  body bytes ever stored, likewise
 *     64  u64 x n  lane hash                 (bit 0)
 *         u64 x n  message-id hash           (bit 1)
 *         u64 x n  fingerprint               (bit 1)
 *         f64 x n  expiry, ms                (bit 2)
 *         f64 x n  origin offset             (bit 3)
 *         f64 x n  number in the schedule    (bit 6)
 *         u32 x n  end of the message in the body
 *         u16 x n  index of its event name
 *         ceil(n / 8) bytes: joined to the message before   (bit 4)
 *         event names: u16 length, UTF-8
 *         n addressees: u16 length, UTF-8    (bit 5)
 */
import { crc32 } from "node:zlib";
import type { Chunk } from "./chunk.js";
import { offset, wallMs } from "./units.js";

const FORMAT = 1;
const FIXED_BYTES = 64;
const CRC_START = 4;
const CRC_END = 8;
const HAS_LANE = 1;
const HAS_MESSAGE_ID = 2;
const HAS_EXPIRY = 4;
const HAS_ORIGIN = 8;
const HAS_JOINED = 16;
const HAS_ADDRESSEE = 32;
const HAS_SCHEDULE = 64;
/** Indexes of events are 16 bits wide. */
const MESSAGES_MAX = 0xffff;

/** The bytes of a chunk are not what was written: a checksum fails, or the format is unknown. Nothing of them was used. */
export class ChunkFormatError extends Error {
  override readonly name = "ChunkFormatError";
}

/** A header on its own: what it says, and how to know its body. */
export interface ChunkHeader {
  /** `body` is undefined. */
  readonly chunk: Chunk;
  readonly bodyBytes: number;
  readonly bodyCrc: number;
}

/** A chunk as it is stored: the two records, and what the header says. */
export interface SealedChunk {
  readonly chunk: Chunk & { readonly body: Buffer };
  readonly header: Buffer;
}

/** Puts columns and body together for good. The columns are copied into the header; the body is kept. */
export function sealChunk(columns: Chunk, body: Buffer): SealedChunk {
  const header = encodeChunkHeader(columns, body);
  return { chunk: { ...viewChunkHeader(header).chunk, body }, header };
}

/** Encodes the header of `chunk`, whose body is `body`, into a buffer of its own that begins at a multiple of 8. */
function encodeChunkHeader(chunk: Chunk, body: Buffer): Buffer {
  const size = headerBytes(chunk);
  const header = Buffer.from(new ArrayBuffer(size));
  header[0] = FORMAT;
  header[1] = presence(chunk);
  header.writeUInt16LE(chunk.events.length, 2);
  header.writeUInt32LE(crc32(body), 8);
  header.writeUInt32LE(chunk.count, 12);
  header.writeUInt32LE(body.length, 16);
  header.writeUInt32LE(size, 20);
  header.writeDoubleLE(chunk.first, 24);
  header.writeDoubleLE(chunk.firstTimeMs, 32);
  header.writeDoubleLE(chunk.lastTimeMs, 40);
  header.writeDoubleLE(chunk.cumulativeMessages, 48);
  header.writeDoubleLE(chunk.cumulativeBytes, 56);
  let position = FIXED_BYTES;
  for (const column of columnsOf(chunk)) {
    header.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), position);
    position += column.byteLength;
  }
  for (const event of chunk.events) position = writeShortText(header, position, event);
  for (const name of chunk.addressee ?? []) position = writeShortText(header, position, name);
  header.writeUInt32LE(headerCrc(header), CRC_START);
  return header;
}

/**
 * Decodes a stored header after checking it; ChunkFormatError when it fails. The columns are views of `header`, which must
 * not change any more; it is copied only when it does not begin at a multiple of 8.
 */
export function decodeChunkHeader(header: Buffer): ChunkHeader {
  if (header.length < FIXED_BYTES) throw new ChunkFormatError(`a chunk header of ${header.length} bytes is cut short`);
  if (header[0] !== FORMAT) throw new ChunkFormatError(`the chunk header has format ${header[0] ?? "?"}; this version reads ${FORMAT}`);
  if (header.readUInt32LE(20) !== header.length) throw new ChunkFormatError("the chunk header is not as long as it says");
  if (header.readUInt32LE(CRC_START) !== headerCrc(header)) throw new ChunkFormatError("the chunk header fails its checksum");
  return viewChunkHeader(header.byteOffset % 8 === 0 ? header : alignedCopy(header));
}

/** Joins a header and its body after checking that they belong together; ChunkFormatError when they don't. */
export function attachBody(header: ChunkHeader, body: Buffer): Chunk & { readonly body: Buffer } {
  if (body.length !== header.bodyBytes) {
    throw new ChunkFormatError(`the chunk body has ${body.length} bytes instead of ${header.bodyBytes}`);
  }
  if (crc32(body) !== header.bodyCrc) throw new ChunkFormatError("the chunk body fails its checksum");
  return { ...header.chunk, body };
}

/** What an aligned header says, taken at its word. */
function viewChunkHeader(header: Buffer): ChunkHeader {
  const present = header[1] ?? 0;
  const count = header.readUInt32LE(12);
  const bodyBytes = header.readUInt32LE(16);
  if (count === 0 || count > MESSAGES_MAX) throw new ChunkFormatError(`the chunk header speaks of ${count} messages`);
  const reader = new ColumnReader(header, FIXED_BYTES);
  const laneHash = (present & HAS_LANE) === 0 ? undefined : reader.uint64(count);
  const messageIdHash = (present & HAS_MESSAGE_ID) === 0 ? undefined : reader.uint64(count);
  const fingerprint = messageIdHash === undefined ? undefined : reader.uint64(count);
  const expireTimeMs = (present & HAS_EXPIRY) === 0 ? undefined : reader.float64(count);
  const originOffset = (present & HAS_ORIGIN) === 0 ? undefined : reader.float64(count);
  const scheduleNumber = (present & HAS_SCHEDULE) === 0 ? undefined : reader.float64(count);
  const ends = reader.uint32(count);
  const eventIndex = reader.uint16(count);
  const joined = (present & HAS_JOINED) === 0 ? undefined : reader.uint8(Math.ceil(count / 8));
  const events = reader.texts(header.readUInt16LE(2));
  const addressee = (present & HAS_ADDRESSEE) === 0 ? undefined : reader.texts(count);
  if (!reader.done || ends[count - 1] !== bodyBytes) throw new ChunkFormatError("the parts of the chunk header contradict each other");
  const first = header.readDoubleLE(24);
  const chunk: Chunk = {
    first: offset(first),
    last: offset(first + count - 1),
    count,
    firstTimeMs: wallMs(header.readDoubleLE(32)),
    lastTimeMs: wallMs(header.readDoubleLE(40)),
    cumulativeMessages: header.readDoubleLE(48),
    cumulativeBytes: header.readDoubleLE(56),
    events,
    eventIndex,
    ends,
    laneHash,
    messageIdHash,
    fingerprint,
    expireTimeMs,
    addressee,
    originOffset,
    scheduleNumber,
    joined,
    body: undefined,
  };
  return { chunk, bodyBytes, bodyCrc: header.readUInt32LE(8) };
}

type Column = BigUint64Array | Float64Array | Uint32Array | Uint16Array | Uint8Array;

/** The typed columns of a chunk in the order in which they are stored. */
function columnsOf(chunk: Chunk): Column[] {
  return [
    chunk.laneHash,
    chunk.messageIdHash,
    chunk.fingerprint,
    chunk.expireTimeMs,
    chunk.originOffset,
    chunk.scheduleNumber,
    chunk.ends,
    chunk.eventIndex,
    chunk.joined,
  ].filter((column) => column !== undefined);
}

function presence(chunk: Chunk): number {
  return (
    (chunk.laneHash === undefined ? 0 : HAS_LANE) |
    (chunk.messageIdHash === undefined ? 0 : HAS_MESSAGE_ID) |
    (chunk.expireTimeMs === undefined ? 0 : HAS_EXPIRY) |
    (chunk.originOffset === undefined ? 0 : HAS_ORIGIN) |
    (chunk.scheduleNumber === undefined ? 0 : HAS_SCHEDULE) |
    (chunk.joined === undefined ? 0 : HAS_JOINED) |
    (chunk.addressee === undefined ? 0 : HAS_ADDRESSEE)
  );
}

/** Bytes of the typed columns of a chunk. */
export function columnBytes(chunk: Chunk): number {
  return columnsOf(chunk).reduce((bytes, column) => bytes + column.byteLength, 0);
}

function headerBytes(chunk: Chunk): number {
  let bytes = FIXED_BYTES + columnBytes(chunk);
  for (const event of chunk.events) bytes += 2 + Buffer.byteLength(event);
  for (const name of chunk.addressee ?? []) bytes += 2 + Buffer.byteLength(name);
  return bytes;
}

function writeShortText(target: Buffer, start: number, text: string): number {
  const bytes = target.write(text, start + 2);
  target.writeUInt16LE(bytes, start);
  return start + 2 + bytes;
}

function headerCrc(header: Buffer): number {
  return crc32(header.subarray(CRC_END), crc32(header.subarray(0, CRC_START)));
}

function alignedCopy(header: Buffer): Buffer {
  const copy = Buffer.from(new ArrayBuffer(header.length));
  header.copy(copy);
  return copy;
}

/** Takes columns off an aligned header one after the other, as views. ChunkFormatError where they would run over its end. */
class ColumnReader {
  constructor(
    private readonly header: Buffer,
    private position: number,
  ) {}

  get done(): boolean {
    return this.position === this.header.length;
  }

  uint64(count: number): BigUint64Array {
    return new BigUint64Array(this.header.buffer, this.advance(count * 8), count);
  }

  float64(count: number): Float64Array {
    return new Float64Array(this.header.buffer, this.advance(count * 8), count);
  }

  uint32(count: number): Uint32Array {
    return new Uint32Array(this.header.buffer, this.advance(count * 4), count);
  }

  uint16(count: number): Uint16Array {
    return new Uint16Array(this.header.buffer, this.advance(count * 2), count);
  }

  uint8(count: number): Uint8Array {
    return new Uint8Array(this.header.buffer, this.advance(count), count);
  }

  texts(count: number): string[] {
    const texts: string[] = [];
    for (let i = 0; i < count; i++) {
      const prefix = this.advance(2) - this.header.byteOffset;
      const length = this.header.readUInt16LE(prefix);
      const start = this.advance(length) - this.header.byteOffset;
      texts.push(this.header.toString("utf8", start, start + length));
    }
    return texts;
  }

  /** Moves on by `bytes` and returns where they start in the header's ArrayBuffer. */
  private advance(bytes: number): number {
    const start = this.position;
    if (bytes > this.header.length - start) throw new ChunkFormatError("a column runs over the end of the chunk header");
    this.position = start + bytes;
    return this.header.byteOffset + start;
  }
}
