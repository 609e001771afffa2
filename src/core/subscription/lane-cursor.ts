import { offset, type Offset, type WallMs } from "../units.js";
import type { Poison, StoredBlock } from "./blocked-lanes.js";
import { CursorCorrupt, CursorReader, CursorWriter, NEVER, type Claimed } from "./cursor-bytes.js";
import type { Trouble } from "./trouble.js";

/** A message with a history, as a cursor stores it. */
export interface LaneTrouble extends Trouble {
  readonly offset: Offset;
  /** When a waiting retry is due; 0 when it waits for nothing. */
  readonly dueWallMs: WallMs;
}

/** A lane that lags, as a cursor stores it. `count`: its messages from `first` up to `next` of the cursor; 0: not known. */
export interface StoredLane {
  readonly hash: bigint;
  readonly first: Offset;
  readonly count: number;
}

/** What survives a restart of a subscription in lanes: O(lanes that lag), whatever their backlog. */
export interface LaneCursor extends Claimed {
  /** The first offset never looked at. What the filter passed below it stays passed. */
  readonly next: Offset;
  /** Every other lane has settled everything below `next`. */
  readonly lanes: readonly StoredLane[];
  readonly troubles: readonly LaneTrouble[];
  /** Poison that is the first message of its lane and stays there. */
  readonly blocked: readonly StoredBlock[];
}

const FORMAT = 3;
/** Has nothing blocked. */
const FORMAT_WITHOUT_BLOCKED = 2;
const REASONS: readonly Poison["reason"][] = ["MAX_ATTEMPTS", "MAX_DELIVERIES"];

/**
 * Encodes a cursor: `next`; hash, first offset and count of each lane; offset and trouble of each troubled message; hash,
 * trouble, reason and holder of each blocked lane; what was claimed.
 */
export function encodeLaneCursor({ next, lanes, troubles, blocked, ...claimed }: LaneCursor): Buffer {
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
  writer.number(blocked.length);
  for (const { hash, poison } of blocked) {
    writer.hash(hash);
    writer.trouble(poison, NEVER);
    writer.number(REASONS.indexOf(poison.reason));
    writer.words(poison.holderSession);
    writer.words(poison.holderClient);
  }
  writer.claimed(claimed);
  return writer.finish();
}

/** Throws CursorCorrupt. */
export function decodeLaneCursor(bytes: Uint8Array): LaneCursor {
  const reader = new CursorReader(bytes, FORMAT, FORMAT_WITHOUT_BLOCKED);
  const next = offset(reader.number());
  const lanes: StoredLane[] = [];
  for (let left = reader.number(); left > 0; left--) {
    lanes.push({ hash: reader.hash(), first: offset(reader.number()), count: reader.number() });
  }
  const troubles: LaneTrouble[] = [];
  for (let left = reader.number(); left > 0; left--) troubles.push({ offset: offset(reader.number()), ...reader.trouble() });
  const blocked: StoredBlock[] = [];
  for (let left = reader.format === FORMAT ? reader.number() : 0; left > 0; left--) blocked.push({ hash: reader.hash(), poison: readPoison(reader) });
  const claimed = reader.claimed();
  reader.end();
  return { next, lanes, troubles, blocked, ...claimed };
}

function readPoison(reader: CursorReader): Poison {
  const { attempt, deliveryCount, cause, lastReason } = reader.trouble();
  const reason = REASONS[reader.number()];
  if (reason === undefined) throw new CursorCorrupt("a blocked lane has an unknown reason");
  return { attempt, deliveryCount, cause, lastReason, reason, holderSession: reader.words(), holderClient: reader.words() };
}
