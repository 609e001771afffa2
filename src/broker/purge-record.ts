import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { State } from "../ports/state.js";
import { encodeRecord, JsonRecord } from "./json-record.js";
import { PURGE_KEY } from "./state-keys.js";

/** How far the messages of a queue are gone, by purges and the bounds of its retention. */
export interface PurgeMark {
  /** The last offset that is gone. */
  readonly through: Offset;
  /** The last stretch of it that an operator purged; `0..0`: none. What is below it went by itself. */
  readonly purgedFirst: Offset;
  readonly purgedLast: Offset;
  /** Messages and body bytes ever stored up to it: what is left is what the log has beyond these. */
  readonly cumulativeMessages: number;
  readonly cumulativeBytes: number;
}

export async function readPurgeMark(state: State): Promise<PurgeMark | undefined> {
  const entry = await state.get(PURGE_KEY);
  if (entry === undefined) return undefined;
  const record = new JsonRecord(entry.value, "the record of what is gone");
  return {
    through: offset(record.count("through")),
    purgedFirst: offset(record.count("purgedFirst")),
    purgedLast: offset(record.count("purgedLast")),
    cumulativeMessages: record.count("cumulativeMessages"),
    cumulativeBytes: record.count("cumulativeBytes"),
  };
}

/** Durable when resolved: from then on nothing up to the mark may be shown or delivered, whatever happens. */
export async function writePurgeMark(state: State, mark: PurgeMark): Promise<void> {
  await state.commit([{ key: PURGE_KEY, value: encodeRecord({ ...mark }), expect: "any" }]);
}
