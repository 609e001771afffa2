import { BrokerError } from "../core/errors.js";
import { EventFilter } from "../core/event-filter.js";
import type { OpenSession, StartPoint } from "../core/session.js";
import { sameStart, startText } from "./subscriber-record.js";
import type { SubscriberRecord } from "./subscriber-record.js";

/** FILTER_MISMATCH or START_MISMATCH when a session says of its subscriber what is not so. */
export function checkSubscriberClaims(record: SubscriberRecord, open: OpenSession): void {
  if (open.events.length > 0) checkFilter(record, open.events, { field: openField(open, "events"), remedy: "leave events empty, or change the subscriber" });
  if (open.start !== undefined) checkStart(record, open.start, { field: openField(open, "start"), remedy: "leave the start out, or seek" });
}

/** Where a client says this of its session: in the frame that opens a stream, or in a Pull itself. */
export function openField({ kind }: OpenSession, name: string): string {
  return kind === "PULL" ? name : `open.${name}`;
}

/** Where something is said of a subscriber, and what else may be done when it is not so. */
export interface ClaimPlace {
  readonly field: string;
  readonly remedy: string;
}

/** FILTER_MISMATCH when the subscriber has another filter. */
export function checkFilter(record: Pick<SubscriberRecord, "name" | "events">, events: readonly string[], { field, remedy }: ClaimPlace): void {
  const filter = EventFilter.parse(events);
  const stored = EventFilter.parse(record.events);
  if (filter.equals(stored)) return;
  throw new BrokerError("FILTER_MISMATCH", `subscriber ${record.name} takes ${eventsText(stored)}, not ${eventsText(filter)}: ${remedy}`, {
    field,
    value: filter.patterns.join(","),
    stored: stored.patterns.join(","),
  });
}

/** START_MISMATCH when the subscriber began elsewhere. */
export function checkStart(record: SubscriberRecord, start: StartPoint, { field, remedy }: ClaimPlace): void {
  if (sameStart(start, record.start)) return;
  throw new BrokerError(
    "START_MISMATCH",
    `subscriber ${record.name} exists and goes on from its own offset; it began ${startText(record.start)}, not ${startText(start)}: ${remedy}`,
    { field, value: startText(start), stored: startText(record.start) },
  );
}

function eventsText(filter: EventFilter): string {
  return filter.takesEverything ? "every event" : filter.patterns.join(", ");
}
