import type { Chunk } from "../chunk.js";
import type { Offset, WallMs } from "../units.js";
import type { FilterHistory } from "./filter-history.js";

const NOTHING = new Uint8Array(0);

/** Whether a message of a chunk was replayed for this subscriber, which takes it whatever it filters. */
export function isAddressed({ addressee }: Chunk, subscriber: string): boolean {
  return addressee?.includes(subscriber) ?? false;
}

/** A chunk at hand, and what of it the subscription takes. */
export class LoadedChunk {
  /** By index into the chunk's dictionary: 1 where the filter takes the event. */
  private readonly taken: Uint8Array;
  /** The same for the messages up to an index, where the filter was another one. Empty in the usual case. */
  private readonly earlier: readonly { readonly last: number; readonly taken: Uint8Array }[];
  readonly takesNothing: boolean;

  constructor(readonly chunk: Chunk, filters: FilterHistory, private readonly subscriber: string) {
    const stretches = filters.within(chunk.first, chunk.last).map(({ through, filter }) => ({
      last: through - chunk.first,
      taken: Uint8Array.from(chunk.events, (event) => (filter.matches(event) ? 1 : 0)),
    }));
    this.earlier = stretches.slice(0, -1);
    this.taken = stretches[stretches.length - 1]?.taken ?? NOTHING;
    this.takesNothing = chunk.addressee === undefined ? !stretches.some(({ taken }) => taken.includes(1)) : chunk.addressee.every((_, index) => !this.takes(index));
  }

  /** True when its messages can be handed out, or there is nothing in it to hand out. */
  get isUsable(): boolean {
    return this.takesNothing || this.chunk.body !== undefined;
  }

  /** Whether message `index` is for this subscriber. A replayed message is for its addressee alone, whatever that filters by now. */
  takes(index: number): boolean {
    const addressee = this.chunk.addressee?.[index];
    if (addressee !== undefined && addressee !== "") return addressee === this.subscriber;
    const taken = this.earlier.length === 0 ? this.taken : (this.earlier.find(({ last }) => index <= last)?.taken ?? this.taken);
    return taken[this.chunk.eventIndex[index] ?? 0] === 1;
  }

  /** Whether message `index` has expired by the wall clock. */
  isExpired(index: number, now: WallMs): boolean {
    const expires = this.chunk.expireTimeMs?.[index] ?? 0;
    return expires !== 0 && expires <= now;
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

  /** The filter has changed. */
  look(filters: FilterHistory, subscriber: string): void {
    this.chunks = this.chunks.map(({ chunk }) => new LoadedChunk(chunk, filters, subscriber));
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
