import { OffsetRanges } from "../offset-ranges.js";
import { NEVER } from "./cursor-bytes.js";
import { encodeCursor, type StoredTrouble } from "./cursor-codec.js";
import type { ReturnedMessages } from "./returned-messages.js";
import type { SubscriptionState } from "./subscription-state.js";
import { hasHistory } from "./trouble.js";

/** The cursor of messages without order, encoded. */
export function storeUnordered(state: SubscriptionState, unsettled: OffsetRanges, returns: ReturnedMessages): Buffer {
  const { next, lastSettled, done, filters, expired } = state;
  return encodeCursor({ next, unsettled, troubles: troublesOf(state, returns), lastSettled, done, earlierFilters: filters.earlier, expired });
}

/** Everything unsettled that has a history, wherever it is. */
function troublesOf(state: SubscriptionState, returns: ReturnedMessages): StoredTrouble[] {
  const troubles: StoredTrouble[] = returns.waitingRetries().slice();
  for (const group of returns.groups) {
    if (hasHistory(group)) troubles.push({ ...group, dueWallMs: NEVER });
  }
  for (const { trouble, first, last } of state.troubledElsewhere()) {
    const offsets = new OffsetRanges();
    offsets.add(first, last);
    troubles.push({ ...trouble, offsets, dueWallMs: NEVER });
  }
  return troubles;
}
