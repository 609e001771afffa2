import { TidemarkError } from "./tidemark-error.js";

/**
 * A wire integer as a number. Offsets, batch ids and counts grow by one and stay far below 2^53, so a number is exact;
 * anything beyond is refused instead of rounded, because a rounded offset would name another message.
 */
export function safeNumber(value: bigint, field: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new TidemarkError("OUT_OF_RANGE", "NUMBER_TOO_LARGE", `${field} ${value} is beyond ${Number.MAX_SAFE_INTEGER}, the largest exact number`, {
      field,
      value: String(value),
    });
  }
  return number;
}
