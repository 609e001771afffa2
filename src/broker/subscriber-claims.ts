import { BrokerError } from "../core/errors.js";
import { EventFilter } from "../core/event-filter.js";
import type { OpenSession } from "../core/session.js";
import { sameStart, startText } from "./subscriber-record.js";
import type { SubscriberRecord } from "./subscriber-record.js";

/** FILTER_MISMATCH or START_MISMATCH when a session says of its subscriber what is not so. */
export function checkSubscriberClaims(record: SubscriberRecord, open: OpenSession, filter: EventFilter): void {
  const stored = EventFilter.parse(record.events);
  if (open.events.length > 0 && !filter.equals(stored)) {
    throw new BrokerError(
      "FILTER_MISMATCH",
      `subscriber ${record.name} takes ${eventsText(stored)}, not ${eventsText(filter)}: leave events empty, or change the subscriber`,
      { field: "open.events", value: filter.patterns.join(","), stored: stored.patterns.join(",") },
    );
  }
  if (open.start !== undefined && !sameStart(open.start, record.start)) {
    throw new BrokerError(
      "START_MISMATCH",
      `subscriber ${record.name} exists and goes on from its own offset; it began ${startText(record.start)}, not ${startText(open.start)}: leave the start out, or seek`,
      { field: "open.start", value: startText(open.start), stored: startText(record.start) },
    );
  }
}

function eventsText(filter: EventFilter): string {
  return filter.takesEverything ? "every event" : filter.patterns.join(", ");
}
