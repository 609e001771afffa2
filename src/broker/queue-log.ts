import { messageStart } from "../core/chunk.js";
import type { Chunk } from "../core/chunk.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import { LogCorrupt, LogOutOfRange } from "../ports/log.js";
import type { ChunkRecord, Head, Log, ReadLimit } from "../ports/log.js";
import type { PurgeMark } from "./purge-record.js";

const NOTHING = offset(0);

/**
 * A queue's log as everybody is to see it: without what was purged, or dropped by a bound of retention. A log lets go of whole
 * chunks only, and takes its time; what is gone and still stored is hidden here: `head` begins behind it, and reading it is
 * LogOutOfRange. A chunk in which that ends is still read whole, by whoever asks for an offset behind it; headers stay visible,
 * since dedup needs them.
 */
export class QueueLog implements Log {
  private lastCopy = NOTHING;
  private shown: { readonly stored: Head; readonly head: Head } | undefined;

  /**
   * @param stored as the engine has it; only what must reach messages that are purged asks it
   * @param mark what was dropped before; undefined: nothing
   */
  constructor(
    readonly stored: Log,
    private mark: PurgeMark | undefined,
  ) {}

  /** No message behind it is a copy of a dead letter, which one subscriber alone gets; 0: there is none at all. */
  get copiesThrough(): Offset {
    return this.lastCopy;
  }

  /** Dead letters were replayed, or had been before; the last of their copies is here. */
  copiesReach(last: Offset): void {
    this.lastCopy = last;
  }

  /** Everything up to it was purged, or was beyond a bound of retention; 0: nothing ever was. */
  get purgedThrough(): Offset {
    return this.mark?.through ?? NOTHING;
  }

  /** Whether an operator dropped a message that is gone, as far as is known. */
  wasPurged(at: Offset): boolean {
    return this.mark !== undefined && this.mark.purgedFirst <= at && at <= this.mark.purgedLast;
  }

  /** Hides everything up to a mark, whose record is durable. A mark that lies behind what is hidden changes nothing. */
  hide(mark: PurgeMark): void {
    if (mark.through <= this.purgedThrough) return;
    this.mark = mark;
    this.shown = undefined;
  }

  /**
   * What would be on record if everything through this offset, which is not beyond the head, were gone.
   * @param byOperator it is a purge
   */
  async markAt(through: Offset, byOperator: boolean): Promise<PurgeMark> {
    return { through, ...(byOperator ? this.purgeThrough(through) : this.lastPurge), ...(await this.storedThrough(through)) };
  }

  /** What the queue had ever stored when it had stored everything through this offset. */
  async storedThrough(through: Offset): Promise<Pick<PurgeMark, "cumulativeMessages" | "cumulativeBytes">> {
    for (let from: number = through + 1; from < this.stored.head().next; ) {
      try {
        const [header] = await this.stored.headers(offset(from), 1);
        if (header !== undefined) return storedBefore(header, from);
      } catch (error) {
        if (!(error instanceof LogCorrupt)) throw error;
        // What cannot be read counts as purged.
        from = error.through + 1;
      }
    }
    const { cumulativeMessages, cumulativeBytes } = this.stored.head();
    return { cumulativeMessages, cumulativeBytes };
  }

  private get lastPurge(): Pick<PurgeMark, "purgedFirst" | "purgedLast"> {
    const { purgedFirst = NOTHING, purgedLast = NOTHING } = this.mark ?? {};
    return { purgedFirst, purgedLast };
  }

  /** A purge that begins where the one before it ended goes on with it. */
  private purgeThrough(through: Offset): Pick<PurgeMark, "purgedFirst" | "purgedLast"> {
    const { purgedFirst, purgedLast } = this.lastPurge;
    const { first } = this.head();
    return { purgedFirst: purgedLast === first - 1 && purgedLast > 0 ? purgedFirst : first, purgedLast: through };
  }

  /** Messages and bytes that are there now and would be gone behind a mark. */
  within(mark: PurgeMark): { readonly messages: number; readonly bytes: number } {
    const { messages, bytes, cumulativeMessages, cumulativeBytes } = this.head();
    return {
      messages: Math.max(0, mark.cumulativeMessages - (cumulativeMessages - messages)),
      bytes: Math.max(0, mark.cumulativeBytes - (cumulativeBytes - bytes)),
    };
  }

  head(): Head {
    const stored = this.stored.head();
    const { mark } = this;
    if (mark === undefined || stored.first > mark.through) return stored;
    if (this.shown?.stored !== stored) {
      const messages = Math.max(0, stored.cumulativeMessages - mark.cumulativeMessages);
      const bytes = Math.max(0, stored.cumulativeBytes - mark.cumulativeBytes);
      this.shown = { stored, head: { ...stored, first: offset(Math.min(mark.through + 1, stored.next)), messages, bytes } };
    }
    return this.shown.head;
  }

  async append(chunks: readonly ChunkRecord[], expectedNext: Offset): Promise<Head> {
    await this.stored.append(chunks, expectedNext);
    return this.head();
  }

  read(from: Offset, limit: ReadLimit): Promise<readonly Chunk[]> {
    const { first } = this.head();
    return from < first ? Promise.reject(new LogOutOfRange(first)) : this.stored.read(from, limit);
  }

  headers(from: Offset, maxChunks: number): Promise<readonly Chunk[]> {
    return this.stored.headers(from, maxChunks);
  }

  async trim(bodiesThrough: Offset, headersThrough: Offset): Promise<Head> {
    await this.stored.trim(bodiesThrough, headersThrough);
    return this.head();
  }
}

/** What the queue had ever stored before an offset, by the header of its chunk or of the next one after it. */
function storedBefore(header: Chunk, from: number): Pick<PurgeMark, "cumulativeMessages" | "cumulativeBytes"> {
  const index = Math.max(0, from - header.first);
  return {
    cumulativeMessages: header.cumulativeMessages - header.count + index,
    cumulativeBytes: header.cumulativeBytes - (header.ends[header.count - 1] ?? 0) + messageStart(header, index),
  };
}
