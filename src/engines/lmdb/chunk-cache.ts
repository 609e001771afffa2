import { columnBytes } from "../../core/chunk-codec.js";
import type { ChunkHeader } from "../../core/chunk-codec.js";
import type { Chunk } from "../../core/chunk.js";

/** What an entry costs beside its bytes: objects, typed-array views, event names. A rough, generous figure. */
const ENTRY_OVERHEAD_BYTES = 1_500;

/** Of a smaller chunk, reading it again costs no more than keeping it in order here, and thousands would have to be kept. */
const KEPT_BYTES_MIN = 8 * 1024;

/** A chunk that was read and found sound. `whole` is there when its body was wanted. */
export interface CachedChunk {
  readonly header: ChunkHeader;
  readonly whole: (Chunk & { readonly body: Buffer }) | undefined;
}

interface Slot {
  readonly chunk: CachedChunk;
  readonly bytes: number;
}

/** Chunks of all queues that were used last, bounded in bytes. Tail chunks stand here before anybody reads them from disk. */
export class ChunkCache {
  /** In order of last use, oldest first. */
  private readonly slots = new Map<string, Slot>();
  private bytes = 0;

  constructor(private readonly bytesMax: number) {}

  get(key: string): CachedChunk | undefined {
    const slot = this.slots.get(key);
    if (slot === undefined) return undefined;
    this.slots.delete(key);
    this.slots.set(key, slot);
    return slot.chunk;
  }

  /** As `get`, and leaves it in its place. */
  peek(key: string): CachedChunk | undefined {
    return this.slots.get(key)?.chunk;
  }

  /** What is there already is replaced in its place. Small chunks are not kept. */
  put(key: string, chunk: CachedChunk): void {
    if (chunk.header.bodyBytes < KEPT_BYTES_MIN) return;
    const bytes = ENTRY_OVERHEAD_BYTES + columnBytes(chunk.header.chunk) + (chunk.whole === undefined ? 0 : chunk.header.bodyBytes);
    this.bytes += bytes - (this.slots.get(key)?.bytes ?? 0);
    this.slots.set(key, { chunk, bytes });
    for (const oldest of this.slots.keys()) {
      if (this.bytes <= this.bytesMax) break;
      this.drop(oldest);
    }
  }

  drop(key: string): void {
    const slot = this.slots.get(key);
    if (slot === undefined) return;
    this.slots.delete(key);
    this.bytes -= slot.bytes;
  }
}
