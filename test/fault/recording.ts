import type { HistoryEvent } from "../support/history.js";
import type { Stubs } from "../support/stubs.js";

/**
 * How long a program waits for a server that is being killed. A client that pauses between two tries to connect can miss
 * several short lives in a row, each with a start before it; to miss them for so long is a failure.
 */
const SERVER_IS_BACK_MS_MAX = 60_000;

/** Where all programs of a run write down what they see, in one order. */
export class Recording {
  readonly events: HistoryEvent[] = [];
  /** Publishes that were sent and have no answer yet. */
  unanswered = 0;
  /** The longest time for which a program found no server. */
  longestAbsenceMs = 0;
  private lastSession = 0;

  add(event: HistoryEvent): void {
    this.events.push(event);
  }

  nextSession(subscriber: string): string {
    return `${subscriber}.${++this.lastSession}`;
  }

  /** Waits for a connection to the server, which may be down. */
  async serverIsBack(stubs: Stubs): Promise<void> {
    const since = performance.now();
    await stubs.ready(SERVER_IS_BACK_MS_MAX);
    this.longestAbsenceMs = Math.max(this.longestAbsenceMs, Math.round(performance.now() - since));
  }
}
