declare const unit: unique symbol;

/**
 * A place in a queue's log: from 1, strictly growing, never reused. 0 stands for "before the first message".
 * Always a safe integer; wire `uint64`s are range-checked where they become offsets.
 */
export type Offset = number & { readonly [unit]: "offset" };

/** Milliseconds of a clock that never goes back (leases, retry delays). Its zero means nothing. */
export type MonotonicMs = number & { readonly [unit]: "monotonic-ms" };

/** Milliseconds since the Unix epoch, UTC, by the wall clock, which may jump (publish times, stored due times). */
export type WallMs = number & { readonly [unit]: "wall-ms" };

/** Both clocks, read together. The core never reads a clock: time is an argument. */
export interface Now {
  readonly monotonicMs: MonotonicMs;
  readonly wallMs: WallMs;
}

/** The highest offset that exists: beyond 2^53 - 1 a number is no longer exact. */
export const OFFSET_MAX = Number.MAX_SAFE_INTEGER as Offset;

/** States that a number is an offset; the caller has checked it. */
export function offset(value: number): Offset {
  return value as Offset;
}

/** States that a number is a reading of the monotonic clock. */
export function monotonicMs(value: number): MonotonicMs {
  return value as MonotonicMs;
}

/** States that a number is a reading of the wall clock. */
export function wallMs(value: number): WallMs {
  return value as WallMs;
}
