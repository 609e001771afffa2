import { createHash } from "node:crypto";
import { DeadLetterFilter as WireFilter, DeadLetterReason as WireReason } from "../../generated/tidemark/v1/dead_letter.js";
import type { OffsetRange } from "../../generated/tidemark/v1/message.js";
import type { DeadLetterFilter, DeadLetterReason } from "../broker/dead-letter-filter.js";
import { EventFilter } from "../core/event-filter.js";
import { LIMITS } from "../core/limits.js";
import { invalidField } from "../core/names.js";
import { OffsetRanges } from "../core/offset-ranges.js";
import { offset, wallMs } from "../core/units.js";
import { clampedNumber, wallTimeMs } from "./wire-numbers.js";

/** A filter as the broker takes it; unset it takes all. INVALID_FIELD names the first bad part. */
export function deadLetterFilter(field: string, wire: WireFilter = NO_FILTER): DeadLetterFilter {
  const { afterTime, beforeTime } = wire;
  return {
    offsets: offsetRanges(`${field}.offsets`, wire.offsets),
    events: EventFilter.parse(wire.events, `${field}.events`),
    reasons: new Set(wire.reasons.map((reason, i) => deadLetterReason(`${field}.reasons[${i}]`, reason))),
    afterTimeMs: afterTime === undefined ? undefined : wallMs(wallTimeMs(`${field}.after_time`, afterTime)),
    beforeTimeMs: beforeTime === undefined ? undefined : wallMs(wallTimeMs(`${field}.before_time`, beforeTime)),
  };
}

/** A short text that is the same for equal filters alone: a page token holds it. */
export function filterDigest(wire: WireFilter = NO_FILTER): string {
  return createHash("sha256").update(WireFilter.encode(wire).finish()).digest("base64url");
}

const NO_FILTER = WireFilter.create();

/** Undefined when none is given: any offset. Those beyond 2^53 - 1 are none that there can be. */
function offsetRanges(field: string, wire: readonly OffsetRange[]): OffsetRanges | undefined {
  if (wire.length === 0) return undefined;
  if (wire.length > LIMITS.deadLetterRunsMax) throw invalidField(field, `${wire.length} runs`, `up to ${LIMITS.deadLetterRunsMax} runs`);
  const ranges = new OffsetRanges();
  wire.forEach(({ first, last }, i) => {
    if (first === 0n) throw invalidField(`${field}[${i}].first`, "0", "1 or more");
    if (last !== 0n && last < first) throw invalidField(`${field}[${i}].last`, String(last), `${first} or more, or 0 for the run of ${first} alone`);
    ranges.add(offset(clampedNumber(first)), offset(clampedNumber(last === 0n ? first : last)));
  });
  return ranges;
}

function deadLetterReason(field: string, reason: WireReason): DeadLetterReason {
  switch (reason) {
    case WireReason.REJECTED:
      return "REJECTED";
    case WireReason.MAX_ATTEMPTS:
      return "MAX_ATTEMPTS";
    case WireReason.MAX_DELIVERIES:
      return "MAX_DELIVERIES";
    case WireReason.EXPIRED:
      return "EXPIRED";
    default:
      throw invalidField(field, String(reason), "DEAD_LETTER_REASON_REJECTED, DEAD_LETTER_REASON_MAX_ATTEMPTS, DEAD_LETTER_REASON_MAX_DELIVERIES or DEAD_LETTER_REASON_EXPIRED");
  }
}
