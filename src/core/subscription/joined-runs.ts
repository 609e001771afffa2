import type { DeliveryRun } from "../session.js";

/** Consecutive offsets of one batch as one range. */
export function joined(runs: readonly DeliveryRun[]): DeliveryRun[] {
  const ranges: DeliveryRun[] = [];
  for (const run of runs) {
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last.batchId === run.batchId && last.last + 1 === run.first) ranges[ranges.length - 1] = { ...last, last: run.last };
    else ranges.push(run);
  }
  return ranges;
}
