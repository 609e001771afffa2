import type { Chunk } from "../../core/chunk.js";
import { offset } from "../../core/units.js";
import type { Offset } from "../../core/units.js";
import { LogConflict, LogCorrupt, LogOutOfRange } from "../../ports/log.js";
import type { ChunkRecord, Head, Log, ReadLimit } from "../../ports/log.js";
import { checkChunkRun } from "../chunk-run.js";
import type { GroupCommit } from "../group-commit.js";
import { advancedHead } from "../log-head.js";
import { ReadBudget } from "../read-budget.js";
import type { StoredChunk, StoredQueue } from "./memory-disk.js";
import type { MemoryFaults } from "./memory-faults.js";

/** A log over an array of committed chunks. */
export class MemoryLog implements Log {
  private current: Head;
  /** The next offset as the transaction in progress sees it. */
  private stagedNext: Offset;

  constructor(
    private readonly stored: StoredQueue,
    private readonly commits: GroupCommit,
    private readonly faults: MemoryFaults,
  ) {
    this.current = headOf(stored.chunks);
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
        apply: () => {
          refused = this.faults.takeAppendConflict() || this.stagedNext !== expectedNext;
          if (!refused) this.stagedNext = offset((chunks[chunks.length - 1]?.chunk.last ?? 0) + 1);
        },
        settle: () => {
          if (refused) {
            reject(new LogConflict(this.current));
            return;
          }
          for (const { chunk } of chunks) this.stored.chunks.push({ chunk, bodyTrimmed: false, damage: "none" });
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
      for (let i = this.indexOf(from); ; i++) {
        const stored = this.stored.chunks[i];
        if (stored === undefined) break;
        const wanted = stored.damage !== "header" && limit.wantsBody(headerOf(stored));
        if (stored.damage === "header" || (wanted && stored.damage === "body")) return endAt(stored, found);
        if (!budget.take(stored.chunk.count, wanted ? stored.chunk.body.length : 0)) break;
        found.push(wanted ? stored.chunk : headerOf(stored));
      }
      return found;
    });
  }

  headers(from: Offset, maxChunks: number): Promise<readonly Chunk[]> {
    return this.commits.read(() => {
      const found: Chunk[] = [];
      for (let i = this.indexOf(from); found.length < maxChunks; i++) {
        const stored = this.stored.chunks[i];
        if (stored === undefined) break;
        if (stored.damage === "header") return endAt(stored, found);
        found.push(headerOf(stored));
      }
      return found;
    });
  }

  trim(bodiesThrough: Offset, headersThrough: Offset): Promise<Head> {
    return new Promise((resolve) => {
      this.commits.submit({
        apply: () => undefined,
        settle: () => {
          const through = Math.min(bodiesThrough, headersThrough);
          const newest = this.stored.chunks[this.stored.chunks.length - 1];
          for (const stored of this.stored.chunks) stored.bodyTrimmed ||= stored.chunk.last <= bodiesThrough;
          this.stored.chunks = this.stored.chunks.filter((stored) => stored === newest || stored.chunk.last > through);
          this.current = headOf(this.stored.chunks);
          resolve(this.current);
        },
      });
    });
  }

  /** Where the chunk that contains `from`, or the next one after it, stands. */
  private indexOf(from: Offset): number {
    const chunks = this.stored.chunks;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((chunks[middle]?.chunk.last ?? 0) < from) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function headerOf(stored: StoredChunk): Chunk {
  return { ...stored.chunk, body: undefined };
}

/** A damaged chunk that is first in line is an error; further on it ends the answer. */
function endAt(stored: StoredChunk, found: readonly Chunk[]): readonly Chunk[] {
  if (found.length === 0) throw new LogCorrupt(stored.chunk.first, stored.chunk.last);
  return found;
}

function headOf(chunks: readonly StoredChunk[]): Head {
  const newest = chunks[chunks.length - 1]?.chunk;
  const oldest = chunks.find(({ bodyTrimmed }) => !bodyTrimmed)?.chunk;
  const next = offset((newest?.last ?? 0) + 1);
  const cumulativeMessages = newest?.cumulativeMessages ?? 0;
  const cumulativeBytes = newest?.cumulativeBytes ?? 0;
  return {
    first: oldest?.first ?? next,
    next,
    cumulativeMessages,
    cumulativeBytes,
    messages: oldest === undefined ? 0 : cumulativeMessages - (oldest.cumulativeMessages - oldest.count),
    bytes: oldest === undefined ? 0 : cumulativeBytes - (oldest.cumulativeBytes - oldest.body.length),
  };
}
