import type { OffsetRun, SessionId, WaitingFor } from "../session.js";
import type { Offset } from "../units.js";
import { FATE } from "./delivery-batch.js";
import type { SubscriptionState } from "./subscription-state.js";

/** Numbers to show; all as of now. */
export interface SubscriptionCounts {
  /** Everything up to it is settled or filtered out, durably. */
  readonly committedOffset: Offset;
  /** The first offset that the machine has not looked at yet. */
  readonly next: Offset;
  /** Matching messages below `next` that are not settled: in flight, ready again, waiting or on their way to dead letters. */
  readonly unsettled: number;
  readonly inFlight: number;
  readonly waitingRetry: number;
}

/** Where every unsettled message is. The parts are disjoint and together are `unsettled`. */
export interface Census {
  readonly next: Offset;
  readonly unsettled: readonly OffsetRun[];
  readonly held: ReadonlyMap<SessionId, readonly OffsetRun[]>;
  readonly ready: readonly OffsetRun[];
  readonly waiting: readonly OffsetRun[];
  readonly burying: readonly Offset[];
}

/** Says where every unsettled message is. */
export function takeCensus(state: SubscriptionState): Census {
  const held = new Map<SessionId, OffsetRun[]>();
  for (const session of state.sessions.values()) {
    const runs: OffsetRun[] = [];
    for (const batch of session.held.values()) {
      batch.visit(batch.all, (first, last, fate) => {
        if (fate === FATE.HELD) runs.push({ first, last });
      });
    }
    held.set(session.id, runs);
  }
  return {
    next: state.next,
    unsettled: state.unsettled.runs(),
    held,
    ready: state.returned.groups.flatMap((group) => group.offsets.runs()),
    waiting: state.returned.waitingRetries().flatMap((entry) => entry.offsets.runs()),
    burying: [...state.burials.keys()],
  };
}

/** Says why nothing goes out to a session; undefined when something is on its way. */
export function waitingFor(state: SubscriptionState, id: SessionId): WaitingFor | undefined {
  const session = state.sessions.get(id);
  if (session === undefined) return undefined;
  if (session.flow.paused) return "PAUSED";
  const nothingReady = state.returned.groups.length === 0;
  if (nothingReady && state.next > state.head) return state.returned.waitingCount > 0 ? "RETRY_DELAY" : "NOTHING_NEW";
  if (!session.hasRoom || !session.transportReady || session.suspectInFlight) return "FLOW";
  if (nothingReady && state.unsettledRoom <= 0) return "UNSETTLED_LIMIT";
  return undefined;
}
