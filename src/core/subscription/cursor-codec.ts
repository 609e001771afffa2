import { LIMITS } from "../limits.js";
import { OffsetRanges } from "../offset-ranges.js";
import type { DeliveryCause } from "../session.js";
import { monotonicMs, offset, wallMs, type MonotonicMs, type Now, type Offset, type WallMs } from "../units.js";
import type { Trouble } from "./trouble.js";

/** Messages with a history, as a cursor stores them. */
export interface StoredTrouble extends Trouble {
  readonly offsets: OffsetRanges;
  /** When a waiting retry is due; 0 when it waits for nothing. */
  readonly dueWallMs: WallMs;
}

/** What survives a restart. Leases do not: what is not settled is deliverable again. */
export interface Cursor {
  /** The first offset never looked at. What the filter passed below it stays passed. */
  readonly next: Offset;
  /** Matching messages below `next` that are not settled. */
  readonly unsettled: OffsetRanges;
  /** Those of them that were retried, or handed out without a verdict. */
  readonly troubles: readonly StoredTrouble[];
}

const FORMAT = 1;
const CAUSES: readonly DeliveryCause[] = ["NEW", "RETRY", "TIMEOUT", "DISCONNECT", "RELEASED", "SEEK"];
/** Reasons are for people; past this many bytes a cursor keeps counts and due times only. */
const REASON_BYTES_MAX = 64 * 1024;

/** The due time of what waits for nothing. */
export const NEVER = wallMs(0);

/** The stored bytes are none of ours, or damaged. */
export class CursorCorrupt extends Error {
  override readonly name = "CursorCorrupt";
}

/**
 * Encodes a cursor: format byte, then unsigned LEB128 numbers. `next`; the unsettled runs as (gap before, length), which in
 * the usual case is one pair; the troubles likewise, each with its counts, cause, due time and reason.
 */
export function encodeCursor(cursor: Cursor): Buffer {
  const writer = new Writer();
  writer.number(FORMAT);
  writer.number(cursor.next);
  writer.ranges(cursor.unsettled);
  writer.number(cursor.troubles.length);
  let reasonBytes = 0;
  for (const trouble of cursor.troubles) {
    writer.ranges(trouble.offsets);
    writer.number(trouble.attempt);
    writer.number(trouble.deliveryCount);
    writer.number(CAUSES.indexOf(trouble.cause));
    writer.number(trouble.dueWallMs);
    reasonBytes += Buffer.byteLength(trouble.lastReason);
    writer.text(reasonBytes <= REASON_BYTES_MAX ? trouble.lastReason : "");
  }
  return writer.finish();
}

/** Throws CursorCorrupt. */
export function decodeCursor(bytes: Uint8Array): Cursor {
  const reader = new Reader(bytes);
  const format = reader.number();
  if (format !== FORMAT) throw new CursorCorrupt(`cursor format ${format} is not known`);
  const next = offset(reader.number());
  const unsettled = reader.ranges();
  const troubles: StoredTrouble[] = [];
  for (let left = reader.number(); left > 0; left--) {
    const offsets = reader.ranges();
    const attempt = reader.number();
    const deliveryCount = reader.number();
    const cause = CAUSES[reader.number()];
    if (cause === undefined) throw new CursorCorrupt("a delivery cause is not known");
    troubles.push({ offsets, attempt, deliveryCount, cause, dueWallMs: wallMs(reader.number()), lastReason: reader.text() });
  }
  reader.end();
  return { next, unsettled, troubles };
}

/**
 * When a stored retry is due by the clock of this process; undefined when it is due already. A wall clock that jumped back
 * must not keep a message for longer than any delay that a client may ask for.
 */
export function dueAgain(dueWallMs: WallMs, now: Now): { readonly at: MonotonicMs; readonly wallMs: WallMs } | undefined {
  if (dueWallMs <= now.wallMs) return undefined;
  return { at: monotonicMs(now.monotonicMs + Math.min(dueWallMs - now.wallMs, LIMITS.retryDelayMsMax)), wallMs: dueWallMs };
}

class Writer {
  private buffer = Buffer.allocUnsafe(64);
  private length = 0;

  number(value: number): void {
    this.reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.buffer[this.length++] = rest;
  }

  ranges(ranges: OffsetRanges): void {
    this.number(ranges.runCount);
    let after = 0;
    for (let i = 0; i < ranges.runCount; i++) {
      const { first, last } = ranges.run(i);
      this.number(first - after);
      this.number(last - first);
      after = last;
    }
  }

  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.number(bytes);
    this.reserve(bytes);
    this.length += this.buffer.write(value, this.length);
  }

  finish(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length));
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + bytes));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
}

class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new CursorCorrupt("the cursor ends too early");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 0x80;
    }
    if (!Number.isSafeInteger(value)) throw new CursorCorrupt("a number is beyond 2^53 - 1");
    return value;
  }

  ranges(): OffsetRanges {
    const ranges = new OffsetRanges();
    let after = 0;
    for (let left = this.number(); left > 0; left--) {
      const first = after + this.number();
      const last = first + this.number();
      ranges.add(offset(first), offset(last));
      after = last;
    }
    return ranges;
  }

  text(): string {
    const length = this.number();
    if (this.at + length > this.bytes.length) throw new CursorCorrupt("the cursor ends too early");
    const text = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.at, length).toString("utf8");
    this.at += length;
    return text;
  }

  end(): void {
    if (this.at !== this.bytes.length) throw new CursorCorrupt("bytes are left over");
  }
}
