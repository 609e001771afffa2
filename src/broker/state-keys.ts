import { offset, wallMs } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";

/**
 * Keys in a queue's State. Names hold no slash, so that no name's keys begin with another's.
 *
 *     u/<subscriber>             what the subscriber was made with
 *     c/<subscriber>             its cursor
 *     n/<subscriber>             how many dead letters it has
 *     a/<subscriber>             when its last client left
 *     l/<subscriber>             how many messages it lost to purges and retention
 *     d/<subscriber>/<offset>    one dead letter, offset in 16 hexadecimal digits
 *     s/<due>/<number>           a message that is put off; due time in ms and number in 14 hexadecimal digits each
 *     f/<due>/<number>           what is known of it without its message
 *     m                          from which offset on messages that became due may be in the log and in `s/` too
 *     p                          how far purges and retention have dropped messages
 *     r                          how far copies of dead letters reach, and those that are on their way
 */
const OFFSET_DIGITS = 16;
const PLACE_DIGITS = 14;
const SCHEDULE_ID = /^[0-9a-f]{14}-[0-9a-f]{14}$/;

export const PURGE_KEY = "p";

export const REPLAY_KEY = "r";

export const DUE_KEY = "m";

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

export function droppedCountKey(subscriber: string): string {
  return `l/${subscriber}`;
}

export function deadLetterPrefix(subscriber: string): string {
  return `d/${subscriber}/`;
}

export function deadLetterKey(subscriber: string, at: Offset): string {
  return deadLetterPrefix(subscriber) + at.toString(16).padStart(OFFSET_DIGITS, "0");
}

/** Of the messages that are put off, by due time, then in the order in which they were accepted. */
export const SCHEDULED_PREFIX = "s/";

/** Of the same, in the same order, without their bytes. */
export const SCHEDULE_FACTS_PREFIX = "f/";

/** Where a message is kept until it is due, and what it is called: due time and number. */
export interface SchedulePlace {
  readonly dueTimeMs: WallMs;
  /** No other message that is put off in the queue has it. */
  readonly number: number;
}

export function scheduledKey(place: SchedulePlace): string {
  return SCHEDULED_PREFIX + placeKey(place, "/");
}

export function scheduleFactsKey(place: SchedulePlace): string {
  return SCHEDULE_FACTS_PREFIX + placeKey(place, "/");
}

/** The place in a key that `scheduledKey` or `scheduleFactsKey` made. */
export function placeInKey(key: string): SchedulePlace {
  return { dueTimeMs: wallMs(Number.parseInt(key.slice(2, 2 + PLACE_DIGITS), 16)), number: Number.parseInt(key.slice(-PLACE_DIGITS), 16) };
}

/** What publishers call it by. Sorts as keys do. */
export function scheduleId(place: SchedulePlace): string {
  return placeKey(place, "-");
}

/** Undefined: it is nothing that `scheduleId` made. */
export function placeOfId(id: string): SchedulePlace | undefined {
  return SCHEDULE_ID.test(id) ? placeInKey(SCHEDULED_PREFIX + id) : undefined;
}

function placeKey({ dueTimeMs, number }: SchedulePlace, between: string): string {
  return hex(dueTimeMs) + between + hex(number);
}

function hex(value: number): string {
  return value.toString(16).padStart(PLACE_DIGITS, "0");
}

/** The offset in a key that `deadLetterKey` made. */
export function deadLetterOffset(key: string): Offset {
  return offset(Number.parseInt(key.slice(-OFFSET_DIGITS), 16));
}
