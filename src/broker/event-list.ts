import type { EventFilter } from "../core/event-filter.js";
import { LIMITS } from "../core/limits.js";
import type { Turns } from "../ports/turns.js";
import { OTHER_EVENTS } from "./event-counts.js";
import type { EventCount } from "./event-counts.js";
import { nextTurn } from "./log-headers.js";

/** Filters asked before others get their turn: some hundred microseconds of work. */
const MATCHES_AT_ONCE = 1_024;

/** One event of a queue, and who takes it. */
export interface EventInfo extends EventCount {
  /** Durable subscribers, sorted, at most LIMITS.matchingSubscribersMax. Of events that are not told apart: those that take every event. */
  readonly matchingSubscribers: readonly string[];
}

/** A durable subscriber, as far as events are concerned. */
export interface EventTaker {
  readonly name: string;
  readonly filter: EventFilter;
}

/**
 * Adds who takes them to events; the event loop breathes in between.
 * @param takers all durable subscribers, sorted by name
 */
export async function eventInfos(events: readonly EventCount[], takers: readonly EventTaker[], turns: Turns): Promise<readonly EventInfo[]> {
  const infos: EventInfo[] = [];
  let asked = 0;
  for (const event of events) {
    const matchingSubscribers: string[] = [];
    for (const { name, filter } of takers) {
      if (matchingSubscribers.length >= LIMITS.matchingSubscribersMax) break;
      if (event.event === OTHER_EVENTS ? filter.takesEverything : filter.matchesOnce(event.event)) matchingSubscribers.push(name);
      if (++asked % MATCHES_AT_ONCE === 0) await nextTurn(turns);
    }
    infos.push({ ...event, matchingSubscribers });
  }
  return infos;
}
