import type { Duration } from "../../generated/google/protobuf/duration.js";
import type { Timestamp } from "../../generated/google/protobuf/timestamp.js";
import { invalidField } from "../core/names.js";
import { OFFSET_MAX, wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** What a proper Timestamp may say: the years 1 to 9999, in seconds since 1970. */
const TIMESTAMP_SECONDS_MIN = -62_135_596_800n;
const TIMESTAMP_SECONDS_MAX = 253_402_300_799n;

/** A `uint64` as an exact number; INVALID_FIELD above 2^53 - 1, or above `max`. */
export function exactNumber(field: string, value: bigint, max: number = Number.MAX_SAFE_INTEGER): number {
  if (value > BigInt(max)) throw invalidField(field, String(value), `0 to ${max}`);
  return Number(value);
}

/** A `uint64` as a number, where everything above 2^53 - 1 means the same: more than there can be. */
export function clampedNumber(value: bigint): number {
  return value > SAFE_MAX ? OFFSET_MAX : Number(value);
}

/**
 * A duration in milliseconds, rounded up so that a wait never gets shorter; undefined when the field is not set.
 * INVALID_FIELD outside `minMs..maxMs`, or when it is no proper Duration.
 */
export function durationMs(field: string, value: Duration | undefined, minMs: number, maxMs: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = value.seconds > SAFE_MAX ? Infinity : Number(value.seconds) * 1_000 + Math.ceil(value.nanos / 1_000_000);
  const negative = value.seconds < 0n || value.nanos < 0;
  if (negative || value.nanos > 999_999_999 || ms < minMs || ms > maxMs) {
    throw invalidField(field, `${value.seconds} s and ${value.nanos} ns`, `${minMs} ms to ${maxMs} ms`);
  }
  return ms;
}

/** As `durationMs`, for a wish that is never refused: outside `minMs..maxMs` it is the nearer bound. */
export function clampedDurationMs(value: Duration | undefined, minMs: number, maxMs: number): number | undefined {
  if (value === undefined) return undefined;
  return Math.min(Math.max(Number(value.seconds) * 1_000 + Math.ceil(value.nanos / 1_000_000), minMs), maxMs);
}

/** Milliseconds as a Duration; fractions of a millisecond are kept. */
export function duration(ms: number): Duration {
  const seconds = Math.floor(ms / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.floor((ms - seconds * 1_000) * 1_000_000) };
}

/** Wall-clock milliseconds as a Timestamp. */
export function timestamp(wallMs: number): Timestamp {
  const seconds = Math.floor(wallMs / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.floor(wallMs - seconds * 1_000) * 1_000_000 };
}

/** The time from which on messages are wanted; nothing was published before 1970. INVALID_FIELD as for `wallTimeMs`. */
export function publishedSince(field: string, value: Timestamp): WallMs {
  return wallMs(Math.max(0, wallTimeMs(field, value)));
}

/**
 * A Timestamp as wall-clock milliseconds, rounded up: what happens "at this time or later" happens at whole milliseconds.
 * INVALID_FIELD when it is no proper Timestamp.
 */
export function wallTimeMs(field: string, { seconds, nanos }: Timestamp): number {
  if (seconds < TIMESTAMP_SECONDS_MIN || seconds > TIMESTAMP_SECONDS_MAX || nanos < 0 || nanos > 999_999_999) {
    throw invalidField(field, `${seconds} s and ${nanos} ns since 1970`, "a time of the years 1 to 9999, its nanos 0 to 999999999");
  }
  return Number(seconds) * 1_000 + Math.ceil(nanos / 1_000_000);
}
