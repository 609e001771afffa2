import type { SessionId } from "../session.js";
import { FATE } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { SessionPlaces } from "./session-places.js";
import type { SubscriptionState } from "./subscription-state.js";
import type { Verdicts } from "./verdicts.js";

/** How sessions end: what they hold goes back. */
export class Departures {
  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
    private readonly verdicts: Verdicts,
    private readonly places: SessionPlaces,
  ) {}

  /** Leases are free at once. AUTO is at most once: what was handed to the transport counts as taken. */
  end(id: SessionId, graceful: boolean, effects: Effect[]): void {
    const { state } = this;
    const session = state.sessions.get(id);
    if (session === undefined) return;
    session.isOver = true;
    const fate = session.isAuto ? FATE.ACKED : graceful ? FATE.RELEASED : FATE.LOST;
    session.concludeAll(fate, (batch, first, last) => {
      if (session.isAuto) this.verdicts.taken(first, last);
      else if (graceful) this.verdicts.release(batch, first, last, effects);
      else this.verdicts.loseLease(session, batch, first, last, "DISCONNECT", effects);
    });
    state.sessions.delete(id);
    this.order.sessionEnded(session);
    state.confirmations.forget(id);
    this.places.left(session, effects);
  }
}
