import type { HistoryEvent } from "../support/history.js";

/** Where all programs of a run write down what they see, in one order. */
export class Recording {
  readonly events: HistoryEvent[] = [];
  /** Publishes that were sent and have no answer yet. */
  unanswered = 0;
  private lastSession = 0;

  add(event: HistoryEvent): void {
    this.events.push(event);
  }

  nextSession(subscriber: string): string {
    return `${subscriber}.${++this.lastSession}`;
  }
}
