import { offset } from "../../core/units.js";
import type { Offset } from "../../core/units.js";
import type { Head } from "../../ports/log.js";
import type { ChunkRecords } from "./chunk-records.js";

/** No chunk has more messages: its columns count them in 16 bits. */
const CHUNK_MESSAGES_MAX = 0xffff;

/** Reads the extent of a log off its records, at open. */
export function storedExtent(records: ChunkRecords): Head {
  const { next, cumulativeMessages, cumulativeBytes } = end(records);
  const empty: Head = { first: next, next, cumulativeMessages, cumulativeBytes, messages: 0, bytes: 0 };
  const first = records.firstBody();
  return first === undefined ? empty : { ...empty, first, ...stillStored(records, first, empty) };
}

/** What is still stored when `first` is the oldest offset that is. Judged by the first sound header from there on. */
export function stillStored(records: ChunkRecords, first: Offset, head: Head): { messages: number; bytes: number } {
  for (let from = first; from < head.next; ) {
    const begins = records.firsts(from, 1)[0];
    if (begins === undefined) break;
    const header = records.header(begins);
    if (header !== undefined) {
      return {
        messages: head.cumulativeMessages - header.chunk.cumulativeMessages + header.chunk.count,
        bytes: head.cumulativeBytes - header.chunk.cumulativeBytes + header.bodyBytes,
      };
    }
    from = offset(begins + 1);
  }
  return { messages: 0, bytes: 0 };
}

/**
 * Where the next message goes. The newest header says; when it is damaged, its chunk may have held any number of messages, and
 * so that no offset is used twice the log goes on behind the most that it can have been. What lies between is reported as
 * corrupt to who reads it.
 */
function end(records: ChunkRecords): Pick<Head, "next" | "cumulativeMessages" | "cumulativeBytes"> {
  let damaged: Offset | undefined;
  for (let first = records.lastFirstBefore(Number.MAX_SAFE_INTEGER); first !== undefined; first = records.lastFirstBefore(first)) {
    const header = records.header(first);
    if (header !== undefined) {
      const next = damaged === undefined ? header.chunk.last + 1 : damaged + CHUNK_MESSAGES_MAX;
      return { next: offset(next), cumulativeMessages: header.chunk.cumulativeMessages, cumulativeBytes: header.chunk.cumulativeBytes };
    }
    damaged ??= first;
  }
  return { next: offset(damaged === undefined ? 1 : damaged + CHUNK_MESSAGES_MAX), cumulativeMessages: 0, cumulativeBytes: 0 };
}
