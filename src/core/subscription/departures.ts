import type { SessionId } from "../session.js";
import { FATE, type DeliveryBatch } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { SessionPlaces } from "./session-places.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";
import type { Verdicts } from "./verdicts.js";

/** What an ended session has still to give back: the next batch last. */
interface Departure {
  readonly session: SessionState;
  readonly graceful: boolean;
  readonly batches: DeliveryBatch[];
}

/**
 * How sessions end: at once for whoever asks, in turns for what they hold, since that may be much. A session that is over gets
 * nothing more and settles nothing more; its place is free when it has given everything back.
 */
export class Departures {
  private readonly departures: Departure[] = [];

  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
    private readonly verdicts: Verdicts,
    private readonly places: SessionPlaces,
  ) {}

  end(id: SessionId, graceful: boolean): void {
    const { state } = this;
    const session = state.sessions.get(id);
    if (session === undefined) return;
    session.isOver = true;
    state.sessions.delete(id);
    state.leaving.add(session);
    state.confirmations.forget(id);
    this.places.leaves(session);
    const batches = [...session.held.values()];
    this.departures.push({ session, graceful, batches: this.order.newestGoesBackFirst ? batches : batches.reverse() });
  }

  /** Gives back as much as the turn allows. */
  goOn(effects: Effect[]): void {
    const { state } = this;
    for (let departure = this.departures[0]; departure !== undefined; departure = this.departures[0]) {
      const { session, batches } = departure;
      for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) {
        if (batch.heldMessages > 0 && state.turn.isSpent) {
          state.turn.leftOver = true;
          batches.push(batch);
          return;
        }
        state.turn.spend(batch.heldMessages, 0);
        this.giveBack(departure, batch, effects);
      }
      this.departures.shift();
      state.leaving.delete(session);
      this.order.sessionEnded(session);
      this.places.left(effects);
    }
  }

  /** AUTO is at most once: what was handed to the transport counts as taken. */
  private giveBack({ session, graceful }: Departure, batch: DeliveryBatch, effects: Effect[]): void {
    const fate = session.isAuto ? FATE.ACKED : graceful ? FATE.RELEASED : FATE.LOST;
    session.concludeHeld(batch, batch.all, fate, (first, last) => {
      if (session.isAuto) this.verdicts.taken(first, last);
      else if (graceful) this.verdicts.release(batch, first, last, effects);
      else this.verdicts.loseLease(session, batch, first, last, "DISCONNECT", effects);
    });
  }
}
