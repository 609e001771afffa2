import type { Offset } from "../units.js";

/** How long retries wait when the consumer names no delay. */
export interface Backoff {
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly backoffFactor: number;
}

/** Spread to either side, so that what failed together does not come back together. */
const JITTER = 0.2;

/**
 * The delay after attempt number `attempt` (from 1): exponential, capped, with a jitter that is a function of the message, so
 * that the machine stays repeatable.
 */
export function backoffMs(backoff: Backoff, attempt: number, message: Offset): number {
  // Capped, since no wait times infinity is no number.
  const grown = backoff.backoffMinMs * Math.min(backoff.backoffFactor ** (attempt - 1), Number.MAX_SAFE_INTEGER);
  const base = Math.min(grown, backoff.backoffMaxMs);
  const mixed = Math.imul((message % 0x7fffffff) ^ (attempt * 0x9e3779b1), 0x85ebca6b) >>> 0;
  return Math.round(base * (1 - JITTER + (2 * JITTER * mixed) / 0xffffffff));
}
