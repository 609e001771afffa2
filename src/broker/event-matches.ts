import type { EventFilter } from "../core/event-filter.js";

/** Event names whose answer is remembered; a queue that has more starts over. */
const REMEMBERED_EVENTS_MAX = 1_024;

/** How many durable subscribers of a queue take an event: the typo alarm of every publish. */
export class EventMatches {
  private readonly counts = new Map<string, number>();

  /** @param filters the filters of all durable subscribers, as of now */
  constructor(private readonly filters: () => Iterable<EventFilter>) {}

  count(event: string): number {
    const known = this.counts.get(event);
    if (known !== undefined) return known;
    let count = 0;
    for (const filter of this.filters()) if (filter.matches(event)) count++;
    if (this.counts.size >= REMEMBERED_EVENTS_MAX) this.counts.clear();
    this.counts.set(event, count);
    return count;
  }

  /** A subscriber came, went or changed its filter. */
  forget(): void {
    this.counts.clear();
  }
}
