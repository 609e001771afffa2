import type { Chunk } from "../../src/core/chunk.js";
import { offset, wallMs } from "../../src/core/units.js";

/** A chunk with a body of the right size and no meaning: for tests of what decides on headers alone. */
export function chunkOf(first: number, events: readonly string[], bytesEach = 10, lanes?: readonly bigint[], expireTimes?: readonly number[]): Chunk {
  const dictionary = [...new Set(events)];
  const ends = Uint32Array.from(events, (_, i) => (i + 1) * bytesEach);
  return {
    first: offset(first),
    last: offset(first + events.length - 1),
    count: events.length,
    firstTimeMs: wallMs(0),
    lastTimeMs: wallMs(0),
    cumulativeMessages: first + events.length - 1,
    cumulativeBytes: (first + events.length - 1) * bytesEach,
    events: dictionary,
    eventIndex: Uint16Array.from(events, (event) => dictionary.indexOf(event)),
    ends,
    laneHash: lanes === undefined ? undefined : BigUint64Array.from(lanes),
    messageIdHash: undefined,
    fingerprint: undefined,
    expireTimeMs: expireTimes?.some((time) => time !== 0) === true ? Float64Array.from(expireTimes) : undefined,
    addressee: undefined,
    body: Buffer.alloc(events.length * bytesEach),
  };
}
