import type { WallMs } from "../core/units.js";

/** A message that was accepted and is not due yet. */
export interface ScheduledInfo {
  readonly scheduleId: string;
  readonly dueTimeMs: WallMs;
  readonly acceptTimeMs: WallMs;
  /** As it would be stored: field 1 of Deliveries with tag and length, offset and publish time 0. Empty: it cannot be read. */
  readonly message: Buffer;
  readonly payloadBytes: number;
}

/** What a list of scheduled messages asks for. */
export interface ScheduledQuery {
  /** Those that are due behind the one with this schedule id; undefined: from the first. INVALID_FIELD when it is none. */
  readonly after: string | undefined;
  /** At most this many. */
  readonly size: number;
  /** Payloads are not wanted: they do not count as bytes of the page. */
  readonly omitPayload: boolean;
}

/** One page, by due time. May be shorter than asked for although there is more. */
export interface ScheduledPage {
  readonly scheduled: readonly ScheduledInfo[];
  /** The `after` of the next page; undefined: there is none. */
  readonly next: string | undefined;
}

/** What an edge may ask about the messages of a queue that are not due yet. */
export interface ScheduleApi {
  /** Rejects with CHUNK_CORRUPT when the next one cannot be read. */
  listScheduled(queue: string, query: ScheduledQuery): Promise<ScheduledPage>;
  /** Takes one back, durably; its message id is free at once. Answers it as it was. Rejects with SCHEDULE_NOT_FOUND. */
  cancelScheduled(queue: string, scheduleId: string): Promise<ScheduledInfo>;
}
