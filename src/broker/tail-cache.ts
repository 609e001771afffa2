import type { Chunk } from "../core/chunk.js";
import type { Offset } from "../core/units.js";

/** What a cached chunk costs besides its body: header columns, names, objects. */
const CHUNK_OVERHEAD_BYTES = 1_024;

/**
 * The newest chunks of every queue that somebody listens to, as they were appended, so that live subscribers are fed without
 * reading the log. One budget for the process: when it is spent, the oldest chunk of any queue goes.
 */
export class TailCache {
  /** Every cached chunk with its queue, oldest first. */
  private readonly order = new Map<Chunk, QueueTail>();
  private bytes = 0;

  /** @param bytesMax bound of everything cached; the newest chunk is kept even if it is larger */
  constructor(private readonly bytesMax: number) {}

  /** An empty tail for one queue, sharing the budget. */
  forQueue(): QueueTail {
    return new QueueTail(
      (chunk, tail) => {
        this.enter(chunk, tail);
      },
      (chunk) => {
        this.leave(chunk);
      },
    );
  }

  private enter(chunk: Chunk, tail: QueueTail): void {
    this.order.set(chunk, tail);
    this.bytes += cost(chunk);
    for (const [oldest, owner] of this.order) {
      if (this.bytes <= this.bytesMax || oldest === chunk) return;
      owner.dropOldest();
    }
  }

  private leave(chunk: Chunk): void {
    if (this.order.delete(chunk)) this.bytes -= cost(chunk);
  }
}

/** One queue's newest chunks: a run without a hole. */
export class QueueTail {
  private chunks: Chunk[] = [];
  /** Chunks before this place were dropped; they are cut off now and then, so that dropping is cheap. */
  private start = 0;

  /** Made by `TailCache.forQueue`. */
  constructor(
    private readonly entered: (chunk: Chunk, tail: QueueTail) => void,
    private readonly left: (chunk: Chunk) => void,
  ) {}

  /** Adds the chunk just appended. A hole before it empties the tail first. */
  push(chunk: Chunk): void {
    const newest = this.chunks[this.chunks.length - 1];
    if (newest !== undefined && newest.last + 1 !== chunk.first) this.clear();
    this.chunks.push(chunk);
    this.entered(chunk, this);
  }

  /** The chunk that contains `at`. */
  find(at: Offset): Chunk | undefined {
    return this.chunks[this.indexOf(at)];
  }

  /** The chunk that contains `from` and those after it, at least one and up to `bytesMax` of bodies; empty if it is not cached. */
  run(from: Offset, bytesMax: number): readonly Chunk[] {
    const run: Chunk[] = [];
    let bytes = 0;
    for (let i = this.indexOf(from); i >= 0 && i < this.chunks.length; i++) {
      const chunk = this.chunks[i] as Chunk;
      bytes += chunk.body?.length ?? 0;
      if (run.length > 0 && bytes > bytesMax) break;
      run.push(chunk);
    }
    return run;
  }

  clear(): void {
    const { chunks, start } = this;
    this.chunks = [];
    this.start = 0;
    for (let i = start; i < chunks.length; i++) this.left(chunks[i] as Chunk);
  }

  /** For the cache: the budget is spent. */
  dropOldest(): void {
    const oldest = this.chunks[this.start];
    if (oldest === undefined) return;
    this.start++;
    if (this.start * 2 > this.chunks.length) {
      this.chunks = this.chunks.slice(this.start);
      this.start = 0;
    }
    this.left(oldest);
  }

  private indexOf(at: Offset): number {
    let low = this.start;
    let high = this.chunks.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const chunk = this.chunks[middle] as Chunk;
      if (at < chunk.first) high = middle - 1;
      else if (at > chunk.last) low = middle + 1;
      else return middle;
    }
    return -1;
  }
}

function cost(chunk: Chunk): number {
  return (chunk.body?.length ?? 0) + CHUNK_OVERHEAD_BYTES;
}
