import { checkDeliveries } from "./delivery-rules.js";
import type { HistoryEvent } from "./history.js";
import { HistoryIndex } from "./history-index.js";
import { checkLanes } from "./lane-rules.js";
import { checkPublishes } from "./publish-rules.js";

/** One broken promise. */
export interface Violation {
  readonly invariant: "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8";
  readonly text: string;
}

/**
 * Judges a finished history: every subscriber has been drained to the head, nothing is on its way any more.
 *
 * - I1 what was answered reaches every subscriber that existed before it was sent
 * - I2 nothing comes that was not published, and what may or may not have been stored comes at one offset at most
 * - I3 what is confirmed as settled never comes again
 * - I4 what is not settled comes again, with its counts: the committed offset passes nothing unsettled, counts never fall,
 *   each hand-out without a verdict and each retry is counted, and nothing is counted that did not happen
 * - I5 on an ordered queue, a message is handed out only when those before it in its lane are settled, or in flight to the same
 *   session within its depth; when one comes back, those behind it are recalled; what a lane has settled is a prefix
 * - I6 offsets are unique and grow with time
 * - I7 the committed offset never goes back
 * - I8 one message id is stored once, whatever was retried
 */
export function checkHistory(history: readonly HistoryEvent[]): Violation[] {
  const index = new HistoryIndex(history);
  return [...checkPublishes(index), ...checkDeliveries(index), ...checkLanes(index)];
}
