import type { Chunk } from "../core/chunk.js";
import type { Offset } from "../core/units.js";

/** The extent of a log, as far as it is durable. */
export interface Head {
  /** The oldest message that can still be read; `next` when there is none. */
  readonly first: Offset;
  /** The offset that the next message gets. 1 in an empty log. Never goes back, whatever is trimmed. */
  readonly next: Offset;
  /** Messages ever stored. */
  readonly cumulativeMessages: number;
  /** Body bytes ever stored. */
  readonly cumulativeBytes: number;
  /** Messages and body bytes still stored. */
  readonly messages: number;
  readonly bytes: number;
}

/** Somebody else appended first. Nothing was written. Read on from the offset expected, check again, repeat. */
export class LogConflict extends Error {
  override readonly name = "LogConflict";
  constructor(readonly head: Head) {
    super(`the log has moved on to offset ${head.next}`);
  }
}

/** The offset asked for is gone; `first` is the oldest that is left. */
export class LogOutOfRange extends Error {
  override readonly name = "LogOutOfRange";
  constructor(readonly first: Offset) {
    super(`the oldest message left has offset ${first}`);
  }
}

/** A stored chunk fails its checksum; everything outside `from..through` stays readable. */
export class LogCorrupt extends Error {
  override readonly name = "LogCorrupt";
  constructor(readonly from: Offset, readonly through: Offset) {
    super(`the stored messages ${from} to ${through} fail their checksum`);
  }
}

/** A sealed chunk on its way to the log. The engine owns both buffers from the call on. */
export interface ChunkRecord {
  readonly chunk: Chunk & { readonly body: Buffer };
  /** The encoded header, without offset-dependent parts left open. */
  readonly header: Buffer;
}

/** What one read returns at most. It may be less: an engine bounds how long it takes. */
export interface ReadLimit {
  /** At least one chunk is returned if there is one, whatever the limits. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** Which bodies to read; a chunk for which this says false comes with `body: undefined`, unread. */
  readonly wantsBody: (header: Chunk) => boolean;
}

/** One queue's messages, in chunks. */
export interface Log {
  /** Cached; never goes back. */
  head(): Head;
  /**
   * Appends all chunks or none; durable when resolved. The chunks' offsets run from `expectedNext` on, without a hole.
   * LogConflict: nothing was written. The call joins the engine's next group commit.
   */
  append(chunks: readonly ChunkRecord[], expectedNext: Offset): Promise<Head>;
  /**
   * Committed chunks, ascending, whole, from the one that contains `from`, or the next after it; empty at the head.
   * LogOutOfRange below the oldest message left; LogCorrupt names what cannot be read, thrown only when that is first in line
   * (a corrupt chunk further on ends the answer before it).
   */
  read(from: Offset, limit: ReadLimit): Promise<readonly Chunk[]>;
  /**
   * Headers only (`body` undefined), also of chunks whose bodies are trimmed: what is left for dedup. From the one that
   * contains `from`, or the next after it; at most `maxChunks`. LogCorrupt as for `read`; never LogOutOfRange.
   */
  headers(from: Offset, maxChunks: number): Promise<readonly Chunk[]>;
  /**
   * Lets go of bodies through `bodiesThrough` and of headers through `headersThrough` (never more). Whole chunks only, in
   * slices, idempotent; durable when resolved. The newest header always stays, so that offsets are never reused.
   */
  trim(bodiesThrough: Offset, headersThrough: Offset): Promise<Head>;
}
