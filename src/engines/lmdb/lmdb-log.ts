import type { ChunkHeader } from "../../core/chunk-codec.js";
import type { Chunk } from "../../core/chunk.js";
import { offset } from "../../core/units.js";
import type { Offset } from "../../core/units.js";
import { LogConflict, LogCorrupt, LogOutOfRange } from "../../ports/log.js";
import type { ChunkRecord, Head, Log, ReadLimit } from "../../ports/log.js";
import { checkChunkRun } from "../chunk-run.js";
import type { GroupCommit } from "../group-commit.js";
import { advancedHead } from "../log-head.js";
import { ReadBudget } from "../read-budget.js";
import type { ChunkRecords } from "./chunk-records.js";
import { stillStored, storedExtent } from "./stored-extent.js";

/** Chunks that one transaction of a trim lets go of: below 5 ms of removing on a slow machine. */
const TRIM_CHUNKS = 128;
/** Bytes of bodies likewise: each page of them is written into the list of those that are free. */
const TRIM_BYTES = 16 * 1024 * 1024;

/** Where the chunks of a slice begin, and the offset behind the last. */
interface TrimSlice {
  readonly firsts: readonly Offset[];
  readonly end: Offset;
}

/**
 * One queue's chunks in the store. Appends are numbered against `stagedNext`, which knows what the transaction in progress
 * wrote; everything that is read ends at `current`, which knows only what is durable. A read is done within one turn: no
 * read transaction outlives it.
 */
export class LmdbLog implements Log {
  private current: Head;
  private stagedNext: Offset;
  private dropped = false;

  constructor(
    private readonly records: ChunkRecords,
    private readonly commits: GroupCommit,
  ) {
    this.current = storedExtent(records);
    this.stagedNext = this.current.next;
  }

  head(): Head {
    return this.current;
  }

  append(chunks: readonly ChunkRecord[], expectedNext: Offset): Promise<Head> {
    checkChunkRun(chunks, expectedNext);
    return new Promise((resolve, reject) => {
      let refused = false;
      this.commits.submit({
        line: this,
        bytes: chunks.reduce((sum, { chunk, header }) => sum + header.length + chunk.body.length, 0),
        apply: () => {
          refused = this.dropped || this.stagedNext !== expectedNext;
          if (refused) return;
          for (const chunk of chunks) {
            this.records.write(chunk);
            this.stagedNext = offset(chunk.chunk.last + 1);
          }
        },
        settle: () => {
          if (refused) {
            reject(this.dropped ? new Error("the queue was dropped") : new LogConflict(this.current));
            return;
          }
          for (const chunk of chunks) this.records.remember(chunk);
          this.current = advancedHead(this.current, chunks);
          resolve(this.current);
        },
      });
    });
  }

  read(from: Offset, limit: ReadLimit): Promise<readonly Chunk[]> {
    return this.commits.read(() => {
      if (from < this.current.first) throw new LogOutOfRange(this.current.first);
      const budget = new ReadBudget(limit.maxMessages, limit.maxBytes);
      const found: Chunk[] = [];
      for (let next = this.beginningAt(from, true); next < this.current.next; ) {
        const header = this.records.header(next);
        if (header === undefined) return this.endAt(next, found);
        const wanted = limit.wantsBody(header.chunk);
        if (!budget.take(header.chunk.count, wanted ? header.bodyBytes : 0)) break;
        const chunk = wanted ? this.records.whole(header) : header.chunk;
        if (chunk === undefined) return endIn(header, found);
        found.push(chunk);
        next = offset(chunk.last + 1);
      }
      return found;
    });
  }

  headers(from: Offset, maxChunks: number): Promise<readonly Chunk[]> {
    return this.commits.read(() => {
      const found: Chunk[] = [];
      for (let next = this.beginningAt(from, false); next < this.current.next && found.length < maxChunks; ) {
        const header = this.records.header(next);
        if (header === undefined) return this.endAt(next, found);
        found.push(header.chunk);
        next = offset(header.chunk.last + 1);
      }
      return found;
    });
  }

  async trim(bodiesThrough: Offset, headersThrough: Offset): Promise<Head> {
    for (;;) {
      const bodies = this.withinSlice(this.trimmable(this.current.first, bodiesThrough));
      // Never a header whose body stays, of which fewer may go at once.
      const headers = this.trimmable(offset(0), offset(Math.min(bodies.end - 1, headersThrough)));
      // The newest header says which offset comes next.
      const newest = this.records.lastFirstBefore(this.current.next);
      const headerFirsts = headers.firsts.filter((first) => first !== newest);
      if (this.dropped || (bodies.firsts.length === 0 && headerFirsts.length === 0)) return this.current;
      await this.remove(bodies.firsts, headerFirsts, bodies.end);
    }
  }

  /** The queue is being dropped: nothing may be appended any more. Takes effect within the transaction in progress. */
  markDropped(): void {
    this.dropped = true;
  }

  /** Chunks from `from` on that lie wholly at or below `through`, at most a slice of them, and the offset behind the last. */
  private trimmable(from: Offset, through: Offset): TrimSlice {
    const begins = this.records.firsts(from, TRIM_CHUNKS + 1).filter((first) => first < this.current.next);
    const firsts: Offset[] = [];
    let end = from;
    for (const [i, first] of begins.slice(0, TRIM_CHUNKS).entries()) {
      const behind = begins[i + 1] ?? this.current.next;
      if (behind - 1 > through) break;
      firsts.push(first);
      end = behind;
    }
    return { firsts, end };
  }

  /** As many of the first chunks as a slice may free the bodies of, at least one. A header that cannot be read ends it. */
  private withinSlice({ firsts, end }: TrimSlice): TrimSlice {
    const [oldest] = firsts;
    const header = oldest === undefined ? undefined : this.records.header(oldest)?.chunk;
    const before = (header?.cumulativeBytes ?? 0) - (header?.ends[header.count - 1] ?? 0);
    let fits = 1;
    let tooMany = firsts.length + 1;
    while (tooMany - fits > 1) {
      const middle = (fits + tooMany) >>> 1;
      const through = this.records.header(firsts[middle - 1] as Offset)?.chunk.cumulativeBytes ?? Infinity;
      if (header !== undefined && through - before <= TRIM_BYTES) fits = middle;
      else tooMany = middle;
    }
    return { firsts: firsts.slice(0, fits), end: firsts[fits] ?? end };
  }

  private remove(bodies: readonly Offset[], headers: readonly Offset[], firstLeft: Offset): Promise<void> {
    return new Promise((resolve) => {
      this.commits.submitClearing({
        apply: () => {
          for (const first of bodies) this.records.removeBody(first);
          for (const first of headers) this.records.removeHeader(first);
        },
        settle: () => {
          for (const first of bodies) this.records.forget(first);
          if (bodies.length > 0 && firstLeft > this.current.first) {
            this.current = { ...this.current, first: firstLeft, ...stillStored(this.records, firstLeft, this.current) };
          }
          resolve();
        },
      });
    });
  }

  /**
   * Where the chunk begins that contains `from`, or the next one after it; `next` of the head when there is none. With
   * `complete`, nothing may be missing from `from` on: LogCorrupt when it is.
   */
  private beginningAt(from: Offset, complete: boolean): Offset {
    const before = this.records.lastFirstBefore(from + 1);
    if (before !== undefined && from <= this.lastOf(before)) return before;
    const after = this.records.firsts(from, 1)[0] ?? this.current.next;
    if (complete && from < after && from < this.current.next) throw new LogCorrupt(from, offset(after - 1));
    return after;
  }

  /** The last offset of a chunk; when its header is damaged, all up to the next chunk counts as its own. */
  private lastOf(first: Offset): Offset {
    return this.records.header(first)?.chunk.last ?? this.spanEnd(first);
  }

  private spanEnd(first: Offset): Offset {
    const after = this.records.firsts(first + 1, 1)[0] ?? this.current.next;
    return offset(Math.min(after, this.current.next) - 1);
  }

  /** A chunk without a sound header ends an answer, and is an error when it is first in line. */
  private endAt(first: Offset, found: readonly Chunk[]): readonly Chunk[] {
    if (found.length === 0) throw new LogCorrupt(first, this.spanEnd(first));
    return found;
  }
}

function endIn(header: ChunkHeader, found: readonly Chunk[]): readonly Chunk[] {
  if (found.length === 0) throw new LogCorrupt(header.chunk.first, header.chunk.last);
  return found;
}
