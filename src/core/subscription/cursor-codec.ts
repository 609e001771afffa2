import type { OffsetRanges } from "../offset-ranges.js";
import { offset, type Offset, type WallMs } from "../units.js";
import { CursorReader, CursorWriter, type Claimed } from "./cursor-bytes.js";
import type { Trouble } from "./trouble.js";

/** Messages with a history, as a cursor stores them. */
export interface StoredTrouble extends Trouble {
  readonly offsets: OffsetRanges;
  /** When a waiting retry is due; 0 when it waits for nothing. */
  readonly dueWallMs: WallMs;
}

/** What survives a restart. Leases do not: what is not settled is deliverable again. */
export interface Cursor extends Claimed {
  /** The first offset never looked at. What the filter passed below it stays passed. */
  readonly next: Offset;
  /** Matching messages below `next` that are not settled. */
  readonly unsettled: OffsetRanges;
  /** Those of them that were retried, or handed out without a verdict. */
  readonly troubles: readonly StoredTrouble[];
}

const FORMAT = 1;
/**
 * Encodes a cursor: format byte, then unsigned LEB128 numbers. `next`; the unsettled runs as (gap before, length), which in
 * the usual case is one pair; the troubles likewise, each with its counts, cause, due time and reason; what was claimed.
 */
export function encodeCursor(cursor: Cursor): Buffer {
  const writer = new CursorWriter(FORMAT);
  writer.number(cursor.next);
  writer.ranges(cursor.unsettled);
  writer.number(cursor.troubles.length);
  for (const trouble of cursor.troubles) {
    writer.ranges(trouble.offsets);
    writer.trouble(trouble, trouble.dueWallMs);
  }
  writer.claimed(cursor);
  return writer.finish();
}

/** Throws CursorCorrupt. */
export function decodeCursor(bytes: Uint8Array): Cursor {
  const reader = new CursorReader(bytes, FORMAT);
  const next = offset(reader.number());
  const unsettled = reader.ranges();
  const troubles: StoredTrouble[] = [];
  for (let left = reader.number(); left > 0; left--) {
    const offsets = reader.ranges();
    troubles.push({ offsets, ...reader.trouble() });
  }
  const claimed = reader.claimed();
  reader.end();
  return { next, unsettled, troubles, ...claimed };
}
