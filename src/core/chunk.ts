import type { Offset, WallMs } from "./units.js";

/**
 * What the header of one stored chunk says: a run of messages with consecutive offsets, kept as one record.
 * The core decides on headers alone; `body` is carried along untouched for whoever sends it.
 *
 * Columns have one entry a message. A column that is `undefined` is empty for every message of the chunk.
 */
export interface Chunk {
  readonly first: Offset;
  readonly last: Offset;
  /** `last - first + 1`. */
  readonly count: number;
  readonly firstTimeMs: WallMs;
  readonly lastTimeMs: WallMs;
  /** Messages that the queue has ever stored, this chunk included. */
  readonly cumulativeMessages: number;
  /** Body bytes that the queue has ever stored, this chunk included. */
  readonly cumulativeBytes: number;
  /** Event names that occur in this chunk, each once. */
  readonly events: readonly string[];
  /** Index into `events`. */
  readonly eventIndex: Uint16Array;
  /** Where each message ends in the body; it starts where the one before ends. */
  readonly ends: Uint32Array;
  /** 64-bit hash of the ordering key; 0 for a message without one. */
  readonly laneHash: BigUint64Array | undefined;
  /** 64-bit hash of the message id; 0 for a message without one. */
  readonly messageIdHash: BigUint64Array | undefined;
  /** 64-bit hash of event, ordering key and payload; only meaningful where `messageIdHash` is not 0. */
  readonly fingerprint: BigUint64Array | undefined;
  /** Wall time from which a message counts as expired; 0 for never. */
  readonly expireTimeMs: Float64Array | undefined;
  /** The one subscriber that a replayed message is for; "" for everybody. */
  readonly addressee: readonly string[] | undefined;
  /** Where a replayed message stood before; 0 for any other. Absent: empty, like a column that is `undefined`. */
  readonly originOffset?: Float64Array | undefined;
  /** The number in the schedule of a message that was put off and became due; 0 for any other. Absent: empty. */
  readonly scheduleNumber?: Float64Array | undefined;
  /**
   * Bit `index % 8` of byte `index / 8` set: published in one all-or-nothing batch with the message before it, for the first
   * one the last message of the chunk before. Absent: every message stands alone.
   */
  readonly joined?: Uint8Array | undefined;
  /**
   * The wire bytes of the messages, back to back, each a whole field 1 of `Deliveries` (tag, length, message).
   * Read-only and valid for good. `undefined`: the reader did not ask for it.
   */
  readonly body: Buffer | undefined;
}

/** Bytes of message `index` in its chunk's body. */
export function messageBytes(chunk: Chunk, index: number): number {
  return (chunk.ends[index] ?? 0) - (index === 0 ? 0 : (chunk.ends[index - 1] ?? 0));
}

/** Where message `index` starts in its chunk's body. */
export function messageStart(chunk: Chunk, index: number): number {
  return index === 0 ? 0 : (chunk.ends[index - 1] ?? 0);
}

/** Whether message `index` was published in one all-or-nothing batch with the message before it. */
export function joinsPrevious(chunk: Chunk, index: number): boolean {
  return chunk.joined !== undefined && ((chunk.joined[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}
