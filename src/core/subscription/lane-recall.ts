import type { DeliveryRun } from "../session.js";
import { FATE } from "./delivery-batch.js";
import { tookNoEffect } from "./lane-answers.js";
import type { Lane, LaneEntry } from "./lanes.js";

/** Ends the leases of entry `index` of a lane and of those after it, and says which to take back. */
export function recallFrom(lane: Lane, index: number): DeliveryRun[] {
  const runs: DeliveryRun[] = [];
  for (const entry of lane.entries.slice(index)) {
    recall(entry);
    runs.push({ first: entry.offset, last: entry.offset, batchId: entry.batch?.facts.batchId ?? 0 });
  }
  return joined(runs);
}

/** Ends a lease, or a verdict that waited, without a count. */
export function recall(entry: LaneEntry): void {
  const { session, batch } = entry;
  const positions = batch?.positions(entry.offset, entry.offset);
  if (batch === undefined || positions === undefined) return;
  if (entry.status === "held") session.conclude(batch, positions, FATE.LOST, () => undefined);
  else session.overrule(batch, positions, FATE.LOST);
  tookNoEffect(entry, batch.facts.batchId);
}

/** Consecutive offsets of one batch as one range. */
function joined(runs: readonly DeliveryRun[]): DeliveryRun[] {
  const ranges: DeliveryRun[] = [];
  for (const run of runs) {
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last.batchId === run.batchId && last.last + 1 === run.first) ranges[ranges.length - 1] = { ...last, last: run.last };
    else ranges.push(run);
  }
  return ranges;
}
