import { offset, type Offset, type WallMs } from "../units.js";
import { CursorReader, CursorWriter, type Claimed } from "./cursor-bytes.js";
import type { Trouble } from "./trouble.js";

/** A message with a history, as a cursor stores it. */
export interface LaneTrouble extends Trouble {
  readonly offset: Offset;
  /** When a waiting retry is due; 0 when it waits for nothing. */
  readonly dueWallMs: WallMs;
}

/** What survives a restart of a subscription in lanes: O(lanes that lag), whatever their backlog. */
export interface LaneCursor extends Claimed {
  /** The first offset never looked at. What the filter passed below it stays passed. */
  readonly next: Offset;
  /** Every other lane has settled everything below `next`. `count`: its messages from `first` up to `next`; 0: not known. */
  readonly lanes: readonly { readonly hash: bigint; readonly first: Offset; readonly count: number }[];
  readonly troubles: readonly LaneTrouble[];
}

const FORMAT = 2;

/** Encodes a cursor: `next`; hash, first offset and count of each lane; offset and trouble of each troubled message; what was claimed. */
export function encodeLaneCursor({ next, lanes, troubles, ...claimed }: LaneCursor): Buffer {
  const writer = new CursorWriter(FORMAT);
  writer.number(next);
  writer.number(lanes.length);
  for (const { hash, first, count } of lanes) {
    writer.hash(hash);
    writer.number(first);
    writer.number(count);
  }
  writer.number(troubles.length);
  for (const trouble of troubles) {
    writer.number(trouble.offset);
    writer.trouble(trouble, trouble.dueWallMs);
  }
  writer.claimed(claimed);
  return writer.finish();
}

/** Throws CursorCorrupt. */
export function decodeLaneCursor(bytes: Uint8Array): LaneCursor {
  const reader = new CursorReader(bytes, FORMAT);
  const next = offset(reader.number());
  const lanes: { hash: bigint; first: Offset; count: number }[] = [];
  for (let left = reader.number(); left > 0; left--) {
    lanes.push({ hash: reader.hash(), first: offset(reader.number()), count: reader.number() });
  }
  const troubles: LaneTrouble[] = [];
  for (let left = reader.number(); left > 0; left--) troubles.push({ offset: offset(reader.number()), ...reader.trouble() });
  const claimed = reader.claimed();
  reader.end();
  return { next, lanes, troubles, ...claimed };
}
