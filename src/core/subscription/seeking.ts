import { LIMITS } from "../limits.js";
import type { DeliveryRun } from "../session.js";
import { offset, type Offset } from "../units.js";
import { FATE } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { Fact } from "./facts.js";
import type { FilterHistory } from "./filter-history.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

/** Where a subscription stands at one moment, to be held against the log later. */
export interface StandingPosition {
  /** Everything up to it is settled or filtered out. */
  readonly floor: Offset;
  /** The first offset never looked at. */
  readonly next: Offset;
  /** The furthest offset that a client has claimed ahead of its turn; 0: there is none. */
  readonly claimedThrough: Offset;
  /** Which events it takes, by offset. */
  readonly filters: FilterHistory;
  /** Whether a message that it takes is settled, or given up. */
  isSettled(at: Offset, lane: bigint): boolean;
}

/** Moves a subscription to another place of its log: what was handed out is lost to whoever has it, and everything begins anew. */
export class Seeking {
  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
  ) {}

  standing(): StandingPosition {
    const { next, burials, filters } = this.state;
    const { floor } = this.order;
    const isUnsettled = this.order.unsettledNow();
    const givenUp = new Set(burials.keys());
    const done = this.state.done.copy();
    return {
      ...{ floor, next, filters: filters.copy(), claimedThrough: done.max ?? offset(0) },
      isSettled: (at, lane) => at <= floor || done.has(at) || (at < next && (givenUp.has(at) || !isUnsettled(at, lane))),
    };
  }

  /** Letters that are on their way go on, since the verdict behind them was given. */
  move({ after, settled, detail }: Extract<Fact, { type: "position_moved" }>, effects: Effect[]): void {
    const { state, order } = this;
    for (const session of state.holders()) loseAll(session, effects);
    order.restart();
    for (const burial of state.burials.values()) burial.detached = true;
    state.move(after, settled);
    for (const { id: session } of state.startedSessions()) effects.push({ type: "notice", session, reason: "POSITION_MOVED", detail, range: undefined });
  }
}

/** AUTO is at most once: what the transport has is taken. */
function loseAll(session: SessionState, effects: Effect[]): void {
  const lost: DeliveryRun[] = [];
  for (const batch of [...session.held.values()]) {
    session.concludeHeld(batch, batch.all, session.isAuto ? FATE.ACKED : FATE.LOST, (first, last) => {
      lost.push({ first, last, batchId: batch.facts.batchId });
    });
  }
  // What its client had claimed to have done is where the move says that it is.
  session.claimedThrough = offset(0);
  if (session.isAuto || session.isOver) return;
  while (lost.length > 0) effects.push({ type: "recall", session: session.id, ranges: lost.splice(0, LIMITS.settleRangesMax), cause: "SEEK" });
}
