import type { Duration } from "../../generated/google/protobuf/duration.js";
import type { Timestamp } from "../../generated/google/protobuf/timestamp.js";

/** A duration in milliseconds, fractions kept. */
export function durationToMs(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

/** Milliseconds as a duration, fractions kept down to the nanosecond. */
export function durationFromMs(ms: number): Duration {
  const seconds = Math.trunc(ms / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1_000) * 1e6) };
}

/** A point in time, cut to the millisecond. */
export function timestampToDate(timestamp: Timestamp): Date {
  return new Date(Number(timestamp.seconds) * 1_000 + Math.trunc(timestamp.nanos / 1e6));
}

/** A point in time as a timestamp. */
export function dateToTimestamp(date: Date): Timestamp {
  const ms = date.getTime();
  const seconds = Math.floor(ms / 1_000);
  return { seconds: BigInt(seconds), nanos: (ms - seconds * 1_000) * 1e6 };
}
