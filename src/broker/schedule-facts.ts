import type { Log } from "../ports/log.js";
import { StateCorrupt } from "../ports/state.js";
import type { State } from "../ports/state.js";
import type { Offset } from "../core/units.js";
import type { Turns } from "../ports/turns.js";
import { RecordCorrupt } from "./json-record.js";
import { nextTurn, readableHeaders } from "./log-headers.js";
import { decodeScheduleFacts } from "./schedule-record.js";
import type { ScheduleFacts } from "./schedule-record.js";
import { placeInKey, scheduleFactsKey, SCHEDULE_FACTS_PREFIX } from "./state-keys.js";
import type { SchedulePlace } from "./state-keys.js";

/** Each is some dozen bytes. */
const FACTS_AT_ONCE = 1_000;

/** An entry, or that there is one which cannot be read. */
export interface ReadableEntry {
  readonly key: string;
  /** Undefined: it is damaged. */
  readonly value: Buffer | undefined;
}

/** As `State.list`; a damaged entry is an answer, alone. */
export async function listReadable(state: State, prefix: string, after: string | undefined, limit: number): Promise<readonly ReadableEntry[]> {
  try {
    return await state.list(prefix, after, limit);
  } catch (error) {
    if (!(error instanceof StateCorrupt)) throw error;
    // Those before the damaged one can be read.
    return limit > 1 ? listReadable(state, prefix, after, 1) : [{ key: error.key, value: undefined }];
  }
}

/** A message that is put off. */
export interface KnownScheduled extends SchedulePlace {
  /** Undefined: they are damaged. */
  readonly facts: ScheduleFacts | undefined;
}

/** What is put off behind a place, in the order in which it is due: at most this many. */
export async function listFacts(state: State, after: SchedulePlace | undefined, limit: number): Promise<readonly KnownScheduled[]> {
  const entries = await listReadable(state, SCHEDULE_FACTS_PREFIX, after === undefined ? undefined : scheduleFactsKey(after), limit);
  return entries.map(({ key, value }) => ({ ...placeInKey(key), facts: readable(value) }));
}

/** All that is put off, in the order in which it is due; the event loop breathes in between. */
export async function* allFacts(state: State, turns: Turns): AsyncGenerator<KnownScheduled, void, void> {
  let after: SchedulePlace | undefined;
  for (;;) {
    const known = await listFacts(state, after, FACTS_AT_ONCE);
    if (known.length === 0) return;
    yield* known;
    after = known[known.length - 1];
    await nextTurn(turns);
  }
}

/** The numbers in the schedule of messages in the log, from an offset on. What cannot be read has none. */
export async function numbersInLog(log: Log, from: Offset, turns: Turns): Promise<ReadonlySet<number>> {
  const numbers = new Set<number>();
  for await (const { scheduleNumber } of readableHeaders(log, from, () => log.head().next, turns)) {
    for (const number of scheduleNumber ?? []) if (number !== 0) numbers.add(number);
  }
  return numbers;
}

function readable(value: Buffer | undefined): ScheduleFacts | undefined {
  if (value === undefined) return undefined;
  try {
    return decodeScheduleFacts(value);
  } catch (error) {
    if (!(error instanceof RecordCorrupt)) throw error;
    return undefined;
  }
}
