import { FATE } from "./delivery-batch.js";
import type { Effect } from "./effects.js";
import type { MonotonicMs } from "../units.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";
import type { Verdicts } from "./verdicts.js";

/** Takes messages back when their lease runs out. */
export class Leases {
  /** A lower bound of every deadline: waking early costs a look, waking late would cost a consumer its turn. */
  wakeAt = Infinity;

  constructor(private readonly state: SubscriptionState, private readonly verdicts: Verdicts) {}

  expire(now: MonotonicMs, effects: Effect[]): void {
    if (now < this.wakeAt) return;
    this.wakeAt = Infinity;
    for (const session of this.state.sessions.values()) {
      this.expireIn(session, now, effects);
      this.watch(session);
    }
  }

  /** A session's leases were extended, perhaps to a shorter time than before. */
  watch(session: SessionState): void {
    this.wakeAt = Math.min(this.wakeAt, session.earliestDeadline());
  }

  /** Takes note of the leases that deliveries have just begun. */
  note(effects: readonly Effect[], now: MonotonicMs): void {
    for (const effect of effects) {
      if (effect.type === "deliver" && effect.batch.leaseMs > 0) this.wakeAt = Math.min(this.wakeAt, now + effect.batch.leaseMs);
    }
  }

  private expireIn(session: SessionState, now: MonotonicMs, effects: Effect[]): void {
    const { turn } = this.state;
    for (const batch of [...session.held.values()]) {
      for (const positions of batch.expired(now)) {
        // The rest stays leased for a turn or two longer.
        if (turn.isSpent) {
          turn.leftOver = true;
          return;
        }
        turn.spend(positions.last - positions.first + 1, 0);
        session.concludeHeld(batch, positions, FATE.LOST, (first, last) => {
          this.verdicts.loseLease(session, batch, first, last, "TIMEOUT", effects);
        });
      }
    }
  }
}
