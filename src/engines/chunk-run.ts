import { strict as assert } from "node:assert";
import type { ChunkRecord } from "../ports/log.js";

/** Holds the callers of `append` to its contract: at least one chunk, offsets from `expectedNext` on without a hole. */
export function checkChunkRun(chunks: readonly ChunkRecord[], expectedNext: number): void {
  assert(chunks.length > 0, "an append of no chunks");
  let next = expectedNext;
  for (const { chunk } of chunks) {
    assert(chunk.first === next, `a chunk that begins at ${chunk.first} follows offset ${next - 1}`);
    next = chunk.last + 1;
  }
}
