import type { Chunk } from "../chunk.js";
import type { EventFilter } from "../event-filter.js";
import type { Offset } from "../units.js";

/** A chunk at hand, and what of it the subscription takes. */
export class LoadedChunk {
  /** By index into the chunk's dictionary: 1 where the filter takes the event. */
  private readonly taken: Uint8Array;
  readonly takesNothing: boolean;

  constructor(readonly chunk: Chunk, filter: EventFilter, private readonly subscriber: string) {
    this.taken = Uint8Array.from(chunk.events, (event) => (filter.matches(event) ? 1 : 0));
    this.takesNothing = !this.taken.includes(1);
  }

  /** True when its messages can be handed out, or there is nothing in it to hand out. */
  get isUsable(): boolean {
    return this.takesNothing || this.chunk.body !== undefined;
  }

  /** Whether message `index` is for this subscriber. A replayed message is for its addressee alone. */
  takes(index: number): boolean {
    if (this.taken[this.chunk.eventIndex[index] ?? 0] !== 1) return false;
    const addressee = this.chunk.addressee?.[index];
    return addressee === undefined || addressee === "" || addressee === this.subscriber;
  }

  /** The first index from `from` on that is for this subscriber; `count` when there is none. */
  nextTaken(from: number): number {
    const { count } = this.chunk;
    if (this.takesNothing) return count;
    let index = from;
    while (index < count && !this.takes(index)) index++;
    return index;
  }
}

/** The few chunks that the machine is looking at. Bounded by one read ahead: more is only asked for when these are used up. */
export class LoadedChunks {
  private chunks: LoadedChunk[] = [];

  add(loaded: LoadedChunk): void {
    const at = this.chunks.findIndex((known) => known.chunk.first >= loaded.chunk.first);
    if (at === -1) this.chunks.push(loaded);
    else this.chunks.splice(at, this.chunks[at]?.chunk.first === loaded.chunk.first ? 1 : 0, loaded);
  }

  /** The chunk that contains an offset. */
  find(offset: Offset): LoadedChunk | undefined {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.chunks[middle] as LoadedChunk).chunk.last < offset) low = middle + 1;
      else high = middle;
    }
    const found = this.chunks[low];
    return found !== undefined && found.chunk.first <= offset ? found : undefined;
  }

  /** Lets go of every chunk that is neither ahead of `next` nor around one of the offsets wanted again. */
  keep(next: Offset, again: readonly Offset[]): void {
    if (this.chunks.length === 0) return;
    this.chunks = this.chunks.filter(
      ({ chunk, isUsable }) => isUsable && (chunk.last >= next || again.some((offset) => chunk.first <= offset && offset <= chunk.last)),
    );
  }

  /** Forgets everything, since nobody is there to hand it to. */
  clear(): void {
    this.chunks = [];
  }
}
