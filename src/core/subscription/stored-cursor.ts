import { LIMITS } from "../limits.js";
import { OffsetRanges } from "../offset-ranges.js";
import { monotonicMs, wallMs, type Now, type Offset } from "../units.js";
import { CursorCorrupt, decodeCursor, encodeCursor, type StoredTrouble } from "./cursor-codec.js";
import { FATE } from "./delivery-batch.js";
import type { SubscriptionSettings } from "./settings.js";
import { SubscriptionState } from "./subscription-state.js";

/** The bytes that a restart goes on from. Leases are left out: what is not settled is deliverable again. */
export function storeState(state: SubscriptionState): Buffer {
  return encodeCursor({ next: state.next, unsettled: state.unsettled, troubles: troublesOf(state) });
}

/** The state that `storeState` left. Throws CursorCorrupt on bytes that are none of its. */
export function restoreState(settings: SubscriptionSettings, cursor: Uint8Array, head: Offset, now: Now): SubscriptionState {
  const { next, unsettled, troubles } = decodeCursor(cursor);
  if (unsettled.max !== undefined && unsettled.max >= next) throw new CursorCorrupt("an unsettled message lies ahead of the cursor");
  const state = new SubscriptionState(settings, next, head, unsettled);
  const plain = new OffsetRanges();
  plain.addAll(unsettled);
  for (const trouble of troubles) {
    for (const { first, last } of trouble.offsets.runs()) {
      if (plain.remove(first, last) !== last - first + 1) throw new CursorCorrupt("a troubled message is not unsettled");
    }
    restoreTrouble(state, trouble, now);
  }
  for (const { first, last } of plain.runs()) {
    state.returned.add({ attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" }, first, last, 0, Infinity);
  }
  return state;
}

function restoreTrouble(state: SubscriptionState, trouble: StoredTrouble, now: Now): void {
  if (trouble.dueWallMs > now.wallMs) {
    // A wall clock that jumped back must not keep a message for longer than any delay that a client may ask for.
    const dueAt = monotonicMs(now.monotonicMs + Math.min(trouble.dueWallMs - now.wallMs, LIMITS.retryDelayMsMax));
    state.returned.wait({ ...trouble, afterVersion: 0, dueAt });
    return;
  }
  for (const { first, last } of trouble.offsets.runs()) state.returned.add(trouble, first, last, 0, Infinity);
}

/** Everything unsettled that has a history, wherever it is. */
function troublesOf(state: SubscriptionState): StoredTrouble[] {
  const troubles: StoredTrouble[] = state.returned.waitingRetries().slice();
  for (const group of state.returned.groups) {
    if (group.attempt > 1 || group.deliveryCount > 1) troubles.push({ ...group, dueWallMs: wallMs(0) });
  }
  for (const session of state.sessions.values()) {
    for (const batch of session.held.values()) {
      if (batch.facts.attempt === 1 && batch.facts.deliveryCount === 1) continue;
      const offsets = new OffsetRanges();
      batch.visit(batch.all, (first, last, fate) => {
        if (fate === FATE.HELD) offsets.add(first, last);
      });
      troubles.push({ ...batch.facts, offsets, dueWallMs: wallMs(0) });
    }
  }
  for (const [at, { deadLetter }] of state.burials) {
    // Not yet copied: after a crash the message comes once more, with the counts it had.
    const offsets = new OffsetRanges();
    offsets.add(at, at);
    troubles.push({ offsets, attempt: deadLetter.attempts, deliveryCount: deadLetter.deliveries, cause: "RETRY", lastReason: deadLetter.detail, dueWallMs: wallMs(0) });
  }
  return troubles;
}
