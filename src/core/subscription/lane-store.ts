import { offset, type Offset, type WallMs } from "../units.js";
import type { BlockedLanes } from "./blocked-lanes.js";
import { NEVER } from "./cursor-bytes.js";
import type { Return } from "./return.js";
import { encodeLaneCursor, type LaneTrouble, type StoredLane } from "./lane-cursor.js";
import type { Lanes } from "./lanes.js";
import type { SubscriptionState } from "./subscription-state.js";
import { hasHistory, type Trouble } from "./trouble.js";

/** The cursor of lanes, encoded. */
export function storeLanes(state: SubscriptionState, returns: ReadonlyMap<Offset, Return>, known: Lanes, blocked: BlockedLanes): Buffer {
  const lanes: StoredLane[] = [];
  for (const { hash, first, behind, entries } of known.values()) lanes.push({ hash, first, count: behind === Infinity ? 0 : behind + entries.length });
  const { next, lastSettled, done, filters, expired } = state;
  return encodeLaneCursor({ next, lanes, troubles: laneTroubles(state, returns, known, blocked), blocked: blocked.stored(), lastSettled, done, earlierFilters: filters.earlier, expired });
}

/** Everything unsettled in lanes that has a history, wherever it is, but for what blocks its lane. */
function laneTroubles(state: SubscriptionState, returns: ReadonlyMap<Offset, Return>, lanes: Lanes, blocked: BlockedLanes): LaneTrouble[] {
  const troubles: LaneTrouble[] = [];
  for (const [at, how] of returns) {
    if (hasHistory(how)) troubles.push(stored(how, at, how.due?.wallMs ?? NEVER));
  }
  for (const { trouble, first, last } of state.troubledElsewhere()) {
    for (let at: Offset = first; at <= last; at = offset(at + 1)) {
      // What is on its way out of a blocked lane is stored as the block, or was purged with it and never comes again.
      if (lanes.holder(at) !== undefined || blocked.hasExpired(at)) troubles.push(stored(trouble, at, NEVER));
    }
  }
  // A verdict that waits is gone after a crash; the counts of its message are not.
  for (const { entries } of lanes.values()) {
    for (const { offset: at, status, batch } of entries) {
      if (status === "concluded" && batch !== undefined && hasHistory(batch.facts)) troubles.push(stored(batch.facts, at, NEVER));
    }
  }
  return troubles;
}

/** Field by field: there may be as many as the widest window has messages, and copying whatever they have takes ten times as long. */
function stored({ attempt, deliveryCount, cause, lastReason }: Trouble, at: Offset, dueWallMs: WallMs): LaneTrouble {
  return { offset: at, attempt, deliveryCount, cause, lastReason, dueWallMs };
}
