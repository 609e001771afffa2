import { offset } from "../core/units.js";
import type { ChunkRecord, Head } from "../ports/log.js";

/** The extent of a log after one more append. */
export function advancedHead(head: Head, chunks: readonly ChunkRecord[]): Head {
  const newest = chunks[chunks.length - 1]?.chunk;
  if (newest === undefined) return head;
  return {
    first: head.first,
    next: offset(newest.last + 1),
    cumulativeMessages: newest.cumulativeMessages,
    cumulativeBytes: newest.cumulativeBytes,
    messages: head.messages + newest.cumulativeMessages - head.cumulativeMessages,
    bytes: head.bytes + newest.cumulativeBytes - head.cumulativeBytes,
  };
}
