import type { SessionId } from "../session.js";
import { offset, type Offset } from "../units.js";
import { FATE } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { SubscriptionState } from "./subscription-state.js";
import type { Verdicts } from "./verdicts.js";

/** What can never be delivered any more, since it is gone from the log or was purged, and who is told of it. */
export class Losses {
  /** What no session has been told of, for lack of one. Only memory has it. */
  private untoldGap: { first: Offset; last: Offset; matchingCount: number } | undefined;
  private dropped = 0;

  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
    private readonly verdicts: Verdicts,
  ) {}

  /** Messages that were purged or dropped by retention, and neither settled nor in flight then, as far as they could be counted. */
  get droppedCount(): number {
    return this.dropped;
  }

  /** A session may be spoken to: it hears what nobody has. */
  tell(session: SessionId, effects: Effect[]): void {
    if (this.untoldGap === undefined) return;
    effects.push({ type: "gap", session, ...this.untoldGap });
    this.untoldGap = undefined;
  }

  /** What is in flight is done, whatever its holder says of it now; burials go on; the rest is lost. */
  purge(through: Offset, matchingAhead: number | undefined, effects: Effect[]): void {
    const { state } = this;
    state.head = offset(Math.max(state.head, through));
    state.purgedThrough = through;
    const first = offset(this.order.floor + 1);
    if (first > through) return;
    const { lastSettled } = state;
    for (const session of state.holders()) {
      for (const batch of [...session.held.values()]) {
        const positions = batch.positions(first, through);
        if (positions === undefined) continue;
        session.concludeHeld(batch, positions, FATE.ACKED, (from, to) => {
          this.verdicts.taken(from, to);
        });
      }
    }
    this.countDropped(this.lose(first, through, effects, matchingAhead));
    // Nobody gave a verdict on it: a client that keeps its own position is not behind for that.
    if (state.lastSettled <= through) state.lastSettled = lastSettled;
  }

  /** The log begins at `first`: what lay before it was dropped, and nobody has said so. */
  truncate(first: Offset, effects: Effect[]): void {
    this.countDropped(this.lose(offset(this.order.floor + 1), offset(first - 1), effects));
  }

  private countDropped(count: number): void {
    this.dropped += count;
    this.state.tally.dropped += count;
  }

  /**
   * What is not in flight of `first..last` can never be read again; whoever is there is told.
   * @param matchingAhead how many of those from `next` on are for this subscriber, if that is known
   * @returns how many are lost, as far as that is known
   */
  lose(first: Offset, last: Offset, effects: Effect[], matchingAhead?: number): number {
    const { state } = this;
    if (last < first) return 0;
    const dropped = this.order.drop(first, last);
    const ahead = offset(Math.max(first, state.next));
    const aheadCount = ahead > last ? 0 : (matchingAhead ?? (state.filters.current.takesEverything ? last - ahead + 1 : undefined));
    // What its client had finished is no loss.
    const doneCount = state.done.within(first, last).reduce((sum, run) => sum + run.last - run.first + 1, 0);
    if (last >= ahead) {
      state.next = offset(last + 1);
      state.change();
    }
    if (dropped.first === undefined && aheadCount === 0) return 0;
    state.change();
    const from = dropped.first ?? ahead;
    const matchingCount = Math.max(0, Math.min(dropped.count + (aheadCount ?? 0) - doneCount, last - from + 1));
    const gap = { first: from, last, matchingCount };
    const told = [...state.startedSessions()];
    if (told.length === 0) {
      const before = this.untoldGap;
      this.untoldGap = before === undefined ? gap : { first: before.first, last, matchingCount: before.matchingCount + gap.matchingCount };
    }
    for (const { id: session } of told) effects.push({ type: "gap", session, ...gap });
    return matchingCount;
  }
}
