import type { DeliveryRange, Settlement } from "../../generated/tidemark/v1/subscribe.js";
import type { Verdict } from "./delivery.js";
import { durationFromMs } from "./wire-time.js";

/** A delivery as a settle names it: `index` is its place in its batch, which tells neighbours, because offsets have gaps. */
export interface Settled {
  readonly batchId: number;
  readonly index: number;
  readonly offset: number;
}

/** Neighbours of one batch with one verdict. */
interface Run {
  readonly verdict: Verdict;
  readonly batchId: number;
  firstIndex: number;
  lastIndex: number;
  firstOffset: number;
  lastOffset: number;
}

/** Gathers the verdicts of one turn and turns them into as few ranges as they fit in. */
export class SettleCollector {
  private runs: Run[] = [];

  get isEmpty(): boolean {
    return this.runs.length === 0;
  }

  /** How many ranges there are so far; merging may make them fewer. */
  get size(): number {
    return this.runs.length;
  }

  add(delivery: Settled, verdict: Verdict): void {
    const last = this.runs[this.runs.length - 1];
    const { batchId, index, offset } = delivery;
    if (last !== undefined && last.batchId === batchId && last.lastIndex + 1 === index && sameVerdict(last.verdict, verdict)) {
      last.lastIndex = index;
      last.lastOffset = offset;
    } else {
      this.runs.push({ verdict, batchId, firstIndex: index, lastIndex: index, firstOffset: offset, lastOffset: offset });
    }
  }

  /** Everything gathered, as one frame; the collector is empty afterwards. */
  take(): Settlement {
    const settlement: Settlement = { acks: [], ackThroughBatchId: 0n, retries: [], rejects: [], releases: [], extends: [], extendAll: undefined };
    for (const run of merged(this.runs)) {
      const range = rangeOf(run);
      const { verdict } = run;
      switch (verdict.kind) {
        case "ack":
          settlement.acks.push(range);
          break;
        case "retry":
          settlement.retries.push({
            range,
            delay: verdict.delayMs === undefined ? undefined : durationFromMs(verdict.delayMs),
            reason: verdict.reason ?? "",
          });
          break;
        case "reject":
          settlement.rejects.push({ range, reason: verdict.reason ?? "" });
          break;
        case "release":
          settlement.releases.push(range);
          break;
      }
    }
    this.runs = [];
    return settlement;
  }
}

/** Joins runs that became neighbours out of order, as when parallel handlers finish in any order. */
function merged(runs: Run[]): Run[] {
  if (runs.length < 2) return runs;
  const sorted = [...runs].sort((a, b) => a.batchId - b.batchId || a.firstIndex - b.firstIndex);
  const joined: Run[] = [];
  for (const run of sorted) {
    const last = joined[joined.length - 1];
    if (last !== undefined && last.batchId === run.batchId && last.lastIndex + 1 === run.firstIndex && sameVerdict(last.verdict, run.verdict)) {
      last.lastIndex = run.lastIndex;
      last.lastOffset = run.lastOffset;
    } else {
      joined.push(run);
    }
  }
  return joined;
}

function rangeOf(run: Run): DeliveryRange {
  return { first: BigInt(run.firstOffset), last: BigInt(run.lastOffset), batchId: BigInt(run.batchId) };
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  if (a.kind !== b.kind) return false;
  const one = a as { readonly delayMs?: number; readonly reason?: string };
  const other = b as { readonly delayMs?: number; readonly reason?: string };
  return one.delayMs === other.delayMs && one.reason === other.reason;
}
