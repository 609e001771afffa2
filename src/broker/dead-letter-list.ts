import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { decodeMessage } from "../core/message-codec.js";
import type { StoredMessage } from "../core/message-codec.js";
import type { OffsetRanges } from "../core/offset-ranges.js";
import type { OffsetRun } from "../core/session.js";
import { OFFSET_MAX, offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import { MessageFormatError } from "../core/wire-format.js";
import { StateCorrupt } from "../ports/state.js";
import type { State } from "../ports/state.js";
import type { Turns } from "../ports/turns.js";
import { passes } from "./dead-letter-filter.js";
import type { DeadLetterFilter } from "./dead-letter-filter.js";
import { decodeDeadLetter } from "./dead-letter-record.js";
import type { DeadLetterRecord } from "./dead-letter-record.js";
import { RecordCorrupt } from "./json-record.js";
import { nextTurn } from "./log-headers.js";
import { deadLetterKey, deadLetterOffset, deadLetterPrefix } from "./state-keys.js";

/** Each carries its message, up to 1 MiB. */
const ENTRIES_AT_ONCE = 8;

/** What a list of dead letters asks for; every value in range. */
export interface DeadLetterQuery {
  readonly filter: DeadLetterFilter;
  /** Those with higher offsets; 0: from the first. */
  readonly after: Offset;
  /** At most this many. */
  readonly size: number;
  /** Payloads are not wanted: they do not count as bytes of the page. */
  readonly omitPayload: boolean;
}

/** One dead letter. */
export interface DeadLetterInfo extends DeadLetterRecord {
  readonly offset: Offset;
  readonly payloadBytes: number;
}

/** One page, by growing offset. May be shorter than asked for, and empty, although there is more. */
export interface DeadLetterPage {
  readonly letters: readonly DeadLetterInfo[];
  /** The `after` of the next page; undefined: there is none. */
  readonly next: Offset | undefined;
}

/** A letter and the message in it. */
export interface OpenLetter {
  readonly letter: DeadLetterInfo;
  /** Undefined: it could not be read any more when it was given up. */
  readonly message: StoredMessage | undefined;
  /** What it takes in the state. */
  readonly bytes: number;
}

/** Where the dead letters of a subscriber are. */
export interface DeadLetterShelf {
  readonly queue: string;
  readonly subscriber: string;
  readonly state: State;
  readonly turns: Turns;
}

/**
 * Answers dead letters. A call looks at LIMITS.deadLettersReadMax of them and reads LIMITS.deadLetterReadBytesMax at most; a
 * page ends at LIMITS.deadLetterPageBytesMax, except that one letter always passes.
 *
 * BrokerError CHUNK_CORRUPT when the next one cannot be read.
 */
export async function listDeadLetters(shelf: DeadLetterShelf, { filter, after, size, omitPayload }: DeadLetterQuery): Promise<DeadLetterPage> {
  const letters: DeadLetterInfo[] = [];
  let pageBytes = 0;
  let looked = 0;
  let readBytes = 0;
  let passed = after;
  try {
    for await (const stored of storedLetters(shelf, filter.offsets, after)) {
      if (looked >= LIMITS.deadLettersReadMax || readBytes >= LIMITS.deadLetterReadBytesMax) return { letters, next: passed };
      const { letter, message, bytes } = openLetter(shelf, stored);
      if (passes(filter, letter, message?.event ?? "")) {
        pageBytes += bytes - (omitPayload ? letter.payloadBytes : 0);
        if (letters.length >= size || (letters.length > 0 && pageBytes > LIMITS.deadLetterPageBytesMax)) return { letters, next: passed };
        letters.push(letter);
      }
      passed = stored.at;
      looked++;
      readBytes += bytes;
    }
  } catch (error) {
    // The page ends before what cannot be read; who goes on hears of it.
    if (letters.length === 0 || !(error instanceof BrokerError)) throw error;
    return { letters, next: passed };
  }
  return { letters, next: undefined };
}

/** A letter as it lies in the state. */
export interface StoredLetter {
  readonly at: Offset;
  /** Undefined: it is damaged. */
  readonly value: Buffer | undefined;
}

/** Letters with offsets above `after` and in `offsets`, ascending; the event loop breathes in between. */
export async function* storedLetters(shelf: DeadLetterShelf, offsets: OffsetRanges | undefined, after: Offset): AsyncGenerator<StoredLetter, void, void> {
  for (let position: Offset | undefined = after; position !== undefined; ) {
    const run = nextRun(offsets, position);
    if (run === undefined) return;
    const slice = await readSlice(shelf, run, Math.min(ENTRIES_AT_ONCE, run.last - run.first + 1));
    yield* slice.letters;
    position = slice.position;
    await nextTurn(shelf.turns);
  }
}

/** The first run of offsets above `after`. */
function nextRun(offsets: OffsetRanges | undefined, after: Offset): OffsetRun | undefined {
  const from = offset(after + 1);
  return offsets === undefined ? { first: from, last: OFFSET_MAX } : offsets.within(from, OFFSET_MAX)[0];
}

/** The next letters of a run, and behind which offset to go on; undefined when there are no more at all. */
async function readSlice(shelf: DeadLetterShelf, run: OffsetRun, limit: number): Promise<{ readonly letters: readonly StoredLetter[]; readonly position: Offset | undefined }> {
  const { state, subscriber } = shelf;
  try {
    const found = await state.list(deadLetterPrefix(subscriber), deadLetterKey(subscriber, offset(run.first - 1)), limit);
    const letters = found.map(({ key, value }) => ({ at: deadLetterOffset(key), value }));
    // What lies behind the run may belong to the next one, and shows that nothing lies between.
    const behind = letters.findIndex(({ at }) => at > run.last);
    if (behind === -1) return { letters, position: letters[letters.length - 1]?.at };
    return { letters: letters.slice(0, behind), position: offset((letters[behind]?.at ?? 0) - 1) };
  } catch (error) {
    if (!(error instanceof StateCorrupt)) throw error;
    // Those before the damaged one can be read.
    if (limit > 1) return readSlice(shelf, run, 1);
    const at = deadLetterOffset(error.key);
    return at <= run.last ? { letters: [{ at, value: undefined }], position: at } : { letters: [], position: offset(at - 1) };
  }
}

/** A letter opened; CHUNK_CORRUPT when it cannot be read. */
export function openLetter(shelf: DeadLetterShelf, { at, value }: StoredLetter): OpenLetter {
  if (value === undefined) throw unreadable(shelf, at);
  try {
    const record = decodeDeadLetter(value);
    const message = record.message.length === 0 ? undefined : decodeMessage(record.message);
    return { letter: { ...record, offset: at, payloadBytes: message?.payload.length ?? 0 }, message, bytes: value.length };
  } catch (error) {
    if (error instanceof RecordCorrupt || error instanceof MessageFormatError) throw unreadable(shelf, at);
    throw error;
  }
}

/** The error of whoever comes to a letter that cannot be read, or has lost its message. */
export function unreadable({ queue, subscriber }: DeadLetterShelf, at: Offset): BrokerError {
  return new BrokerError("CHUNK_CORRUPT", `the dead letter ${at} of subscriber ${subscriber} of queue ${queue} is damaged and cannot be read; ask for the others by their offsets`, {
    queue,
    subscriber,
    first: String(at),
    last: String(at),
  });
}
