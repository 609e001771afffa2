import type { Confirmation } from "./confirmations.js";
import type { LaneEntry } from "./lanes.js";
import type { Burial } from "./subscription-state.js";

/** Owes an answer once the verdict on this entry has taken effect. */
export function answerLater(entry: LaneEntry, owed: Confirmation): void {
  if (entry.owed.includes(owed)) return;
  owed.waits++;
  entry.owed = [...entry.owed, owed];
}

/** The verdict took effect at this version of the cursor, or began a burial, whose copy answers wait for as well. */
export function tookEffect(entry: LaneEntry, version: number, burial: Burial | undefined): void {
  for (const owed of entry.owed) {
    if (burial?.owed.includes(owed) === false) {
      burial.owed.push(owed);
      continue;
    }
    owed.waits--;
    owed.version = version;
  }
  entry.owed = [];
}

/** The message comes again, so its verdict is lost. */
export function tookNoEffect(entry: LaneEntry, batchId: number): void {
  const range = { first: entry.offset, last: entry.offset, batchId };
  for (const owed of entry.owed) {
    owed.failures.push({ requestId: owed.requestId, range, code: "LEASE_LOST" });
    owed.waits--;
  }
  entry.owed = [];
}
