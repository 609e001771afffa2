import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";

/**
 * Keys in a queue's State. Names hold no slash, so that no name's keys begin with another's.
 *
 *     u/<subscriber>             what the subscriber was made with
 *     c/<subscriber>             its cursor
 *     n/<subscriber>             how many dead letters it has
 *     a/<subscriber>             when its last client left
 *     d/<subscriber>/<offset>    one dead letter, offset in 16 hexadecimal digits
 *     p                          how far the queue was purged
 *     r                          how far copies of dead letters reach, and those that are on their way
 */
const OFFSET_DIGITS = 16;

export const PURGE_KEY = "p";

export const REPLAY_KEY = "r";

export const SUBSCRIBER_PREFIX = "u/";

export function subscriberKey(subscriber: string): string {
  return SUBSCRIBER_PREFIX + subscriber;
}

export function cursorKey(subscriber: string): string {
  return `c/${subscriber}`;
}

export function presenceKey(subscriber: string): string {
  return `a/${subscriber}`;
}

export function deadLetterCountKey(subscriber: string): string {
  return `n/${subscriber}`;
}

export function deadLetterPrefix(subscriber: string): string {
  return `d/${subscriber}/`;
}

export function deadLetterKey(subscriber: string, at: Offset): string {
  return deadLetterPrefix(subscriber) + at.toString(16).padStart(OFFSET_DIGITS, "0");
}

/** The offset in a key that `deadLetterKey` made. */
export function deadLetterOffset(key: string): Offset {
  return offset(Number.parseInt(key.slice(-OFFSET_DIGITS), 16));
}
