import type { OffsetRun, SessionId } from "../session.js";
import type { Offset } from "../units.js";
import { FATE } from "./delivery-batch.js";
import type { DeliveryOrder, Whereabouts } from "./delivery-order.js";
import type { Pause } from "./pause.js";
import type { SubscriptionState } from "./subscription-state.js";

/** What to show; all as of now. */
export interface SubscriptionCounts {
  /** Everything up to it is settled or filtered out, durably. */
  readonly committedOffset: Offset;
  /** The first offset that the machine has not looked at yet. */
  readonly next: Offset;
  /** Matching messages below `next` that are not settled: in flight, ready again, waiting, blocked or on their way to dead letters. */
  readonly unsettled: number;
  readonly inFlight: number;
  readonly waitingRetry: number;
  /** Lanes that stand still behind poison until somebody decides. */
  readonly blockedLanes: number;
  /** Undefined: it is not paused. */
  readonly pause: Pause | undefined;
  /** Messages purged or dropped by retention that were neither settled nor in flight, since the machine was made. */
  readonly dropped: number;
  /** Messages that expired before they were settled, ever, as far as they were looked at. */
  readonly expired: number;
}

/** Where every unsettled message is. The parts are disjoint and together are `unsettled`. */
export interface Census extends Whereabouts {
  readonly next: Offset;
  readonly held: ReadonlyMap<SessionId, readonly OffsetRun[]>;
  readonly burying: readonly Offset[];
}

/** Says where every unsettled message is. */
export function takeCensus(state: SubscriptionState, order: DeliveryOrder): Census {
  const held = new Map<SessionId, OffsetRun[]>();
  for (const session of state.holders()) {
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
    ...order.whereabouts(),
    held,
    burying: [...state.burials].flatMap(([at, { detached }]) => (detached ? [] : [at])),
  };
}
