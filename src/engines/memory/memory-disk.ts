import type { Chunk } from "../../core/chunk.js";
import type { QueueId } from "../../ports/engine.js";
import type { Entry } from "../../ports/state.js";

/** One chunk that was committed. Damage is a mark: what a checksum would find, without the bytes. */
export interface StoredChunk {
  readonly chunk: Chunk & { readonly body: Buffer };
  bodyTrimmed: boolean;
  damage: "none" | "header" | "body";
}

/** What one queue has committed. */
export interface StoredQueue {
  /** Ascending, without a hole. */
  chunks: StoredChunk[];
  readonly entries: Map<string, Entry>;
}

/** What was committed, apart from the engine that did it: a new engine over the same disk is a restart after a crash. */
export class MemoryDisk {
  readonly catalog = new Map<string, Entry>();
  private readonly queues = new Map<QueueId, StoredQueue>();
  private lastToken = 0;

  /** The queue's data, made on first use. */
  queue(id: QueueId): StoredQueue {
    let queue = this.queues.get(id);
    if (queue === undefined) {
      queue = { chunks: [], entries: new Map() };
      this.queues.set(id, queue);
    }
    return queue;
  }

  remove(id: QueueId): void {
    this.queues.delete(id);
  }

  nextToken(): number {
    return ++this.lastToken;
  }

  /** Damages the chunk that contains `offset`. */
  corrupt(id: QueueId, offset: number, part: "header" | "body"): void {
    const stored = this.queue(id).chunks.find(({ chunk }) => chunk.first <= offset && offset <= chunk.last);
    if (stored === undefined) throw new Error(`queue ${id} has no chunk with offset ${offset}`);
    stored.damage = part;
  }
}
