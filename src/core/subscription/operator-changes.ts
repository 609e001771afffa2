import { offset, type Now } from "../units.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { Fact } from "./facts.js";
import { pauseInForce, type Pause } from "./pause.js";
import type { SubscriptionState } from "./subscription-state.js";
import type { Verdicts } from "./verdicts.js";

/** What an operator changes while sessions are open: rules, filter and pause hold from the next hand-out on, and every session is told. */
export class OperatorChanges {
  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
    private readonly verdicts: Verdicts,
  ) {}

  /** When a pause ends by itself; Infinity: it does not, or there is none. */
  get resumeAt(): number {
    return this.state.pause?.resumeAt ?? Infinity;
  }

  take(fact: Extract<Fact, { type: "settings_changed" | "filter_changed" | "pause_changed" }>, now: Now, effects: Effect[]): void {
    const { state, order } = this;
    if (fact.type === "settings_changed") {
      state.settings = { ...state.settings, ...fact.rules };
      if (fact.rules.onPoison !== "BLOCK_LANE") this.verdicts.unblockAll();
    } else if (fact.type === "filter_changed") {
      state.filters.change(fact.filter, offset(state.next - 1), order.floor);
      state.loaded.look(state.filters, state.settings.name);
      state.change();
    } else this.pause(fact.pause, now);
    this.tell(fact.detail, effects);
  }

  /** Ends a pause whose time has come. */
  expire(now: Now, effects: Effect[]): void {
    if (now.monotonicMs < this.resumeAt) return;
    this.pause(undefined, now);
    this.tell("the pause is over, as it was set to end now", effects);
  }

  private pause(pause: Pause | undefined, now: Now): void {
    const { state, order } = this;
    state.pause = pause === undefined ? undefined : pauseInForce(pause, now);
    if (state.pause === undefined) for (const session of state.sessions.values()) order.sessionChanged(session);
  }

  private tell(detail: string, effects: Effect[]): void {
    for (const { id: session } of this.state.startedSessions()) effects.push({ type: "notice", session, reason: "SETTINGS_CHANGED", detail, range: undefined });
  }
}
