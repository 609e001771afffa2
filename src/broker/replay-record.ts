import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Put, State } from "../ports/state.js";
import { encodeRecord, JsonRecord } from "./json-record.js";
import { REPLAY_KEY } from "./state-keys.js";

/** Dead letters whose copies are on their way into the log, all in one append. */
export interface ReplayUnderWay {
  readonly subscriber: string;
  readonly letters: readonly Offset[];
  /** The copies are at or behind this offset, if they are stored; nobody else's are. */
  readonly from: Offset;
}

/** How the replays of a queue stand. */
export interface ReplayRecord {
  /** The last copy that was made; 0: none. */
  readonly through: Offset;
  /** Set between the moment in which copies may be stored and the one in which their letters are gone. */
  readonly underWay: ReplayUnderWay | undefined;
}

export const NO_REPLAYS: ReplayRecord = { through: offset(0), underWay: undefined };

export async function readReplayRecord(state: State): Promise<ReplayRecord> {
  const entry = await state.get(REPLAY_KEY);
  if (entry === undefined) return NO_REPLAYS;
  const record = new JsonRecord(entry.value, "the record of replays");
  const subscriber = record.text("subscriber");
  const underWay = subscriber === "" ? undefined : { subscriber, letters: record.counts("letters").map(offset), from: offset(record.count("from")) };
  return { through: offset(record.count("through")), underWay };
}

/** The record as a part of a commit. */
export function replayPut({ through, underWay }: ReplayRecord): Put {
  const { subscriber = "", letters = [], from = 0 } = underWay ?? {};
  return { key: REPLAY_KEY, value: encodeRecord({ through, subscriber, letters, from }), expect: "any" };
}
