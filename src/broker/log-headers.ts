import type { Chunk } from "../core/chunk.js";
import { BrokerError } from "../core/errors.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import { LogCorrupt } from "../ports/log.js";
import type { Log } from "../ports/log.js";
import type { Turns } from "../ports/turns.js";

/** Headers read before others get their turn: some hundred microseconds of work. */
const HEADERS_AT_ONCE = 64;

/** The chunks from the one that contains `from` up to, not including, `until`, without bodies; the event loop breathes in between. */
export async function* readHeaders(log: Log, from: Offset, until: Offset, turns: Turns): AsyncGenerator<Chunk, void, void> {
  let next = from;
  while (next < until) {
    const chunks = await log.headers(next, HEADERS_AT_ONCE);
    const last = chunks[chunks.length - 1];
    if (last === undefined) return;
    for (const chunk of chunks) {
      if (chunk.first >= until) return;
      yield chunk;
    }
    next = offset(last.last + 1);
    await nextTurn(turns);
  }
}

/** The same, without what cannot be read. `until` is asked again when what it said is reached. */
export async function* readableHeaders(log: Log, from: Offset, until: () => Offset, turns: Turns): AsyncGenerator<Chunk, void, void> {
  let next = from;
  for (let end = until(); next < end; end = until()) {
    const before = next;
    try {
      for await (const chunk of readHeaders(log, next, end, turns)) {
        yield chunk;
        next = offset(chunk.last + 1);
      }
      if (next === before) return;
    } catch (error) {
      if (!(error instanceof LogCorrupt)) throw error;
      next = offset(error.through + 1);
    }
  }
}

/** Where the first chunk begins whose newest message is from `time` or later; `next` if there is none. A few dozen headers are read. */
export async function firstSince(log: Pick<Log, "headers">, time: WallMs, next: Offset): Promise<Offset> {
  let low = 1;
  let high: number = next;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [chunk] = await log.headers(offset(middle), 1);
    if (chunk === undefined || chunk.lastTimeMs >= time) high = middle;
    else low = chunk.last + 1;
  }
  return offset(low);
}

/** What a caller is told of messages that he needs and that cannot be read. */
export function chunkCorrupt(queue: string, { from, through }: LogCorrupt): BrokerError {
  return new BrokerError("CHUNK_CORRUPT", `the messages ${from} to ${through} of queue ${queue} fail their checksum and cannot be read; go on from offset ${through + 1}`, {
    queue,
    first: String(from),
    last: String(through),
  });
}

/** Resolves in a later turn of the event loop. */
export function nextTurn(turns: Turns): Promise<void> {
  return new Promise((resolve) => {
    turns.next(resolve);
  });
}
