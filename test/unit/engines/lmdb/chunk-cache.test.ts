import { expect } from "chai";
import { ChunkCache } from "../../../../src/engines/lmdb/chunk-cache.js";
import type { CachedChunk } from "../../../../src/engines/lmdb/chunk-cache.js";
import { chunkOf } from "../../../support/chunk-builder.js";

const KIB = 1_024;

/** A chunk of one message with a body of so many bytes; without it, only its header was read. */
function cached(bodyBytes: number, hasBody = true): CachedChunk {
  const chunk = chunkOf(1, ["a"], bodyBytes);
  const body = chunk.body ?? Buffer.alloc(0);
  return { header: { chunk: { ...chunk, body: undefined }, bodyBytes, bodyCrc: 0 }, whole: hasBody ? { ...chunk, body } : undefined };
}

/** Which of these it has, without making any of them newer. */
function kept(cache: ChunkCache, keys: string): string {
  return [...keys].filter((key) => cache.peek(key) !== undefined).join("");
}

describe("the cache of chunks", () => {
  it("keeps what was used last, within its bytes", () => {
    const cache = new ChunkCache(4 * 100 * KIB);
    for (const key of "abc") cache.put(key, cached(100 * KIB));
    cache.get("a");
    cache.put("d", cached(100 * KIB));
    expect(kept(cache, "abcd")).to.equal("acd");
    cache.put("e", cached(250 * KIB));
    expect(kept(cache, "abcde")).to.equal("de");
  });

  it("keeps nothing that is larger than all of it", () => {
    const cache = new ChunkCache(100 * KIB);
    cache.put("a", cached(90 * KIB));
    cache.put("b", cached(200 * KIB));
    expect(kept(cache, "ab")).to.equal("");
  });

  it("counts a body once, whether it came with its header or after it", () => {
    const cache = new ChunkCache(250 * KIB);
    for (let i = 0; i < 10; i++) {
      cache.put("a", cached(100 * KIB, i % 2 === 1));
      cache.put("b", cached(100 * KIB, i % 2 === 1));
    }
    expect(kept(cache, "ab")).to.equal("ab");
    expect(cache.peek("a")?.whole?.body).to.have.length(100 * KIB);
  });

  it("has the room of what is dropped for others", () => {
    const cache = new ChunkCache(250 * KIB);
    cache.put("a", cached(100 * KIB));
    cache.put("b", cached(100 * KIB));
    cache.drop("a");
    cache.drop("a");
    cache.put("c", cached(100 * KIB));
    expect(kept(cache, "abc")).to.equal("bc");
  });

  it("keeps no small chunks", () => {
    const cache = new ChunkCache(1_000 * KIB);
    cache.put("a", cached(200));
    cache.put("b", cached(200, false));
    expect(kept(cache, "ab")).to.equal("");
  });
});
