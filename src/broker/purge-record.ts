import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { State } from "../ports/state.js";
import { encodeRecord, JsonRecord } from "./json-record.js";
import { PURGE_KEY } from "./state-keys.js";

/** Where the purges of a queue have come to. */
export interface PurgeMark {
  /** The last offset that is gone. */
  readonly through: Offset;
  /** Messages and body bytes ever stored up to it: what is left is what the log has beyond these. */
  readonly cumulativeMessages: number;
  readonly cumulativeBytes: number;
}

export async function readPurgeMark(state: State): Promise<PurgeMark | undefined> {
  const entry = await state.get(PURGE_KEY);
  if (entry === undefined) return undefined;
  const record = new JsonRecord(entry.value, "the record of what was purged");
  return {
    through: offset(record.count("through")),
    cumulativeMessages: record.count("cumulativeMessages"),
    cumulativeBytes: record.count("cumulativeBytes"),
  };
}

/** Durable when resolved: from then on nothing up to the mark may be shown or delivered, whatever happens. */
export async function writePurgeMark(state: State, { through, cumulativeMessages, cumulativeBytes }: PurgeMark): Promise<void> {
  await state.commit([{ key: PURGE_KEY, value: encodeRecord({ through, cumulativeMessages, cumulativeBytes }), expect: "any" }]);
}
