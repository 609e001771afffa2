import type { ChunkHeader } from "../../core/chunk-codec.js";
import type { Chunk } from "../../core/chunk.js";

/** What an entry costs beside its bytes: objects, typed-array views, event names. A rough, generous figure. */
const ENTRY_OVERHEAD_BYTES = 1_500;

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

  put(key: string, chunk: CachedChunk): void {
    this.drop(key);
    const columns = chunk.header.chunk.ends.buffer.byteLength;
    const bytes = ENTRY_OVERHEAD_BYTES + columns + (chunk.whole === undefined ? 0 : chunk.header.bodyBytes);
    this.slots.set(key, { chunk, bytes });
    this.bytes += bytes;
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
