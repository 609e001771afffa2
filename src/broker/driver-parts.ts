import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import type { State } from "../ports/state.js";
import type { Turns } from "../ports/turns.js";
import type { QueueLog } from "./queue-log.js";
import type { Scheduler } from "./scheduler.js";
import type { SharedTurns } from "./shared-turns.js";
import type { QueueTail } from "./tail-cache.js";

/** What all subscriptions of one queue share. */
export interface DriverParts {
  readonly log: QueueLog;
  readonly state: State;
  readonly tail: QueueTail;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly turns: Turns;
  /** Those of all queues. */
  readonly sharedTurns: SharedTurns;
  readonly journal: Journal;
}
