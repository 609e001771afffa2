import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

/** Which sessions have caught up, and which are done: they have reached their stop, or drained. */
export class SessionEnds {
  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
  ) {}

  /** Before a hand-out: a session whose stop at the head is reached takes nothing more, or it might never be done. */
  reach(): void {
    for (const session of this.state.sessions.values()) this.reachHead(session);
  }

  /** True while a session could end if only the cursor were durable. */
  get anyWaiting(): boolean {
    for (const session of this.state.sessions.values()) if (session.doneVersion !== undefined) return true;
    return false;
  }

  /** Tells who has caught up, and ends who is done. */
  watch(effects: Effect[]): void {
    const { state } = this;
    for (const session of state.startedSessions()) {
      if (session.finished) continue;
      if (!session.caughtUp && this.order.handedOutThrough(session.headAtOpen)) {
        session.caughtUp = true;
        const detail = `everything up to offset ${session.headAtOpen}, the head when this session opened, has been handed out`;
        effects.push({ type: "notice", session: session.id, reason: "CAUGHT_UP", detail, range: undefined });
      }
      this.reachHead(session);
      if (!isDone(session) || state.confirmations.owes(session.id)) continue;
      session.doneVersion ??= state.version;
      if (session.doneVersion > state.durableVersion) continue;
      session.finished = true;
      effects.push({ type: "finish_session", session: session.id });
    }
  }

  private reachHead(session: SessionState): void {
    if (session.settings.stop.kind !== "at_head" || session.headReached || !session.started) return;
    session.headReached = session.isAuto ? this.order.handedOutThrough(session.headAtOpen) : this.order.floor >= session.headAtOpen;
  }
}

function isDone(session: SessionState): boolean {
  return session.inFlightMessages === 0 && (session.draining || session.stopReached);
}
