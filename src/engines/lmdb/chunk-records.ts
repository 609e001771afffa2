import { crc32 } from "node:zlib";
import { attachBody, ChunkFormatError, decodeChunkHeader } from "../../core/chunk-codec.js";
import type { ChunkHeader } from "../../core/chunk-codec.js";
import type { Chunk } from "../../core/chunk.js";
import { offset } from "../../core/units.js";
import type { Offset } from "../../core/units.js";
import type { ChunkRecord } from "../../ports/log.js";
import type { ChunkCache } from "./chunk-cache.js";
import { isStoreDamage } from "./lmdb-store.js";
import type { LmdbStore } from "./lmdb-store.js";
import { chunkKey, KIND, kindRange, offsetOfKey } from "./record-keys.js";
import type { Owner } from "./record-keys.js";

/** A stored header ends in the CRC-32 of its key, so that one which turns up in another place is damage. */
const PLACE_BYTES = 4;

/** The chunk records of one queue: two per chunk, under its first offset. Knows checksums and keys, but no head and no limits. */
export class ChunkRecords {
  private readonly cachePrefix: string;

  /** @param onDamage hears why a record was given up, each time it is read */
  constructor(
    private readonly store: LmdbStore,
    private readonly owner: Owner,
    private readonly cache: ChunkCache,
    private readonly onDamage: (first: Offset, reason: unknown) => void,
  ) {
    this.cachePrefix = `${owner.toString("latin1")}/`;
  }

  /** The header of the chunk that begins at `first`; undefined when it is missing or damaged. */
  header(first: Offset): ChunkHeader | undefined {
    const cacheKey = this.cacheKey(first);
    const cached = this.cache.get(cacheKey);
    if (cached !== undefined) return cached.header;
    return this.sound(first, () => {
      const key = chunkKey(this.owner, KIND.header, first);
      const stored = this.store.getBeside(key);
      if (stored === undefined) throw new ChunkFormatError("the chunk header is missing");
      const end = stored.length - PLACE_BYTES;
      if (end < 0 || stored.readUInt32LE(end) !== crc32(key)) throw new ChunkFormatError("the chunk header belongs to another place");
      const header = decodeChunkHeader(stored.subarray(0, end));
      if (header.chunk.first !== first) throw new ChunkFormatError(`the chunk header speaks of offset ${header.chunk.first}`);
      this.cache.put(cacheKey, { header, whole: undefined });
      return header;
    });
  }

  /** The chunk with its body; undefined when that is missing or damaged. */
  whole(header: ChunkHeader): (Chunk & { readonly body: Buffer }) | undefined {
    const { first } = header.chunk;
    const cacheKey = this.cacheKey(first);
    // Its header was just looked at, which made it the newest.
    const cached = this.cache.peek(cacheKey);
    if (cached?.whole !== undefined) return cached.whole;
    return this.sound(first, () => {
      const body = this.store.getBeside(chunkKey(this.owner, KIND.body, first));
      if (body === undefined) throw new ChunkFormatError("the chunk body is missing");
      const whole = attachBody(header, body);
      this.cache.put(cacheKey, { header, whole });
      return whole;
    });
  }

  /** Where the chunks begin whose headers are there, from `from` on; damaged ones included. */
  firsts(from: number, limit: number): Offset[] {
    const [, end] = kindRange(this.owner, KIND.header);
    return this.store.keys(chunkKey(this.owner, KIND.header, from), end, limit).map(offsetOfKey);
  }

  /** Where the last chunk begins that has a header and begins before `before`. */
  lastFirstBefore(before: number): Offset | undefined {
    const [start] = kindRange(this.owner, KIND.header);
    const key = this.store.lastKeyBefore(chunkKey(this.owner, KIND.header, before), start);
    return key === undefined ? undefined : offsetOfKey(key);
  }

  /** Where the oldest chunk begins whose body is there. */
  firstBody(): Offset | undefined {
    const [start, end] = kindRange(this.owner, KIND.body);
    const key = this.store.keys(start, end, 1)[0];
    return key === undefined ? undefined : offsetOfKey(key);
  }

  /** Inside a transaction. */
  write({ chunk, header }: ChunkRecord): void {
    const key = chunkKey(this.owner, KIND.header, chunk.first);
    const place = Buffer.allocUnsafe(PLACE_BYTES);
    place.writeUInt32LE(crc32(key), 0);
    this.store.put(key, Buffer.concat([header, place]));
    this.store.put(chunkKey(this.owner, KIND.body, chunk.first), chunk.body);
  }

  /** Once a chunk written is durable: its first readers find it in memory. */
  remember({ chunk, header }: ChunkRecord): void {
    const decoded = { chunk: { ...chunk, body: undefined }, bodyBytes: chunk.body.length, bodyCrc: header.readUInt32LE(8) };
    this.cache.put(this.cacheKey(chunk.first), { header: decoded, whole: chunk });
  }

  /** Inside a transaction. */
  removeBody(first: Offset): void {
    this.store.remove(chunkKey(this.owner, KIND.body, first));
  }

  /** Inside a transaction. */
  removeHeader(first: Offset): void {
    this.store.remove(chunkKey(this.owner, KIND.header, first));
  }

  forget(first: Offset): void {
    this.cache.drop(this.cacheKey(first));
  }

  private cacheKey(first: Offset): string {
    return `${this.cachePrefix}${first}`;
  }

  private sound<T>(first: Offset, find: () => T): T | undefined {
    try {
      return find();
    } catch (error) {
      if (!(error instanceof ChunkFormatError) && !isStoreDamage(error)) throw error;
      this.onDamage(offset(first), error);
      return undefined;
    }
  }
}
