import type { EventFilter } from "../core/event-filter.js";
import type { OffsetRanges } from "../core/offset-ranges.js";
import type { WallMs } from "../core/units.js";
import type { DeadLetterRecord } from "./dead-letter-record.js";

/** Why messages become dead letters. */
export type DeadLetterReason = "REJECTED" | "MAX_ATTEMPTS" | "MAX_DELIVERIES" | "EXPIRED";

/** Which dead letters: those to which everything that is set applies. */
export interface DeadLetterFilter {
  /** Undefined: any. */
  readonly offsets: OffsetRanges | undefined;
  readonly events: EventFilter;
  /** Empty: any. */
  readonly reasons: ReadonlySet<string>;
  /** That became one at this time or later. Undefined: any. */
  readonly afterTimeMs: WallMs | undefined;
  /** That became one before this time. Undefined: any. */
  readonly beforeTimeMs: WallMs | undefined;
}

/**
 * Whether a letter passes everything but the offsets, which are looked for by key.
 * @param event of its message; "" when that could not be read, which passes only where every event does
 */
export function passes({ events, reasons, afterTimeMs, beforeTimeMs }: DeadLetterFilter, { reason, deadLetterTimeMs }: DeadLetterRecord, event: string): boolean {
  if (reasons.size > 0 && !reasons.has(reason)) return false;
  if (afterTimeMs !== undefined && deadLetterTimeMs < afterTimeMs) return false;
  if (beforeTimeMs !== undefined && deadLetterTimeMs >= beforeTimeMs) return false;
  return events.matches(event);
}

/** Every letter passes, whatever it is. */
export function takesAll(filter: DeadLetterFilter): boolean {
  return filter.offsets === undefined && asksForOffsetsAlone(filter);
}

/** It can be said without opening a letter whether that passes. */
export function asksForOffsetsAlone({ events, reasons, afterTimeMs, beforeTimeMs }: DeadLetterFilter): boolean {
  return events.takesEverything && reasons.size === 0 && afterTimeMs === undefined && beforeTimeMs === undefined;
}
