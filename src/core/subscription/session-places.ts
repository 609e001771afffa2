import type { Claims } from "../session.js";
import { OffsetRanges } from "../offset-ranges.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Effect } from "./effects.js";
import type { Fact } from "./facts.js";
import { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

/**
 * How sessions come and who of them works.
 *
 *     opened --claims durable--> ready --client told--> started
 *
 * A session has its place from `opened` on. Of an exclusive subscription one has the place of the one that works.
 */
export class SessionPlaces {
  /** Opened and not ready, in order, with what their clients claim until that is settled. */
  private readonly opening = new Map<SessionState, Claims | undefined>();

  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
  ) {}

  /** A session is to start. */
  get anyOpening(): boolean {
    return this.opening.size > 0;
  }

  /** Somebody works, or will before anybody who comes now: those who stand by take over when the one that leaves has left. */
  get isTaken(): boolean {
    for (const session of this.state.sessions.values()) if (!session.standby || this.state.leaving.size > 0) return true;
    return false;
  }

  /** Gives a session its place. */
  open({ session: id, settings, claims }: Extract<Fact, { type: "session_opened" }>): void {
    const { state } = this;
    const session = new SessionState(id, settings, state.head);
    session.standby = settings.sharing === "EXCLUSIVE" && this.isTaken;
    state.sessions.set(id, session);
    this.opening.set(session, claims);
  }

  /** Settles what clients of sessions that open claim, once no ended session holds any of it. */
  settleClaims(): void {
    if (this.opening.size === 0 || this.state.leaving.size > 0) return;
    for (const [session, claims] of this.opening) {
      if (claims === undefined) continue;
      this.opening.set(session, undefined);
      this.settleClaimsOf(session, claims);
    }
  }

  private settleClaimsOf(session: SessionState, claims: Claims): void {
    const { state, order } = this;
    const through = session.standby ? undefined : claims.processedThrough;
    if (through !== undefined) {
      session.claimedThrough = through;
      state.noteSettled(through);
      if (through > order.floor) order.settleThrough(through);
    }
    // Claims that wait for their turn are bounded; what is over comes again, as if it had not been claimed.
    if (claims.done.length > 0 && state.done.runCount < state.settings.maxUnsettled) {
      const done = new OffsetRanges();
      for (const { first, last } of claims.done) done.add(first, last);
      order.finished(done);
    }
    if (through !== undefined || claims.done.length > 0) session.awaitsVersion = state.change();
  }

  /** Says which sessions may be told that they are open: what they claimed is durable. */
  ready(effects: Effect[]): void {
    const { state } = this;
    if (state.leaving.size > 0) return;
    for (const session of this.opening.keys()) {
      // A message on its way to the dead letters ends the floor until its copy is in a commit.
      if (session.claimedThrough > this.order.floor) session.awaitsVersion = state.version + 1;
      if (session.awaitsVersion > state.durableVersion) continue;
      this.opening.delete(session);
      effects.push({ type: "session_ready", session: session.id });
    }
  }

  /** A session is over, and gives back what it held. */
  leaves(session: SessionState): void {
    this.opening.delete(session);
  }

  /** One has. When nobody works any more, the oldest one that stands by does from now on; one that drains never would. */
  left(effects: Effect[]): void {
    if (this.state.leaving.size > 0) return;
    let oldest: SessionState | undefined;
    for (const session of this.state.sessions.values()) {
      if (!session.standby) return;
      if (!session.draining && !session.finished) oldest ??= session;
    }
    if (oldest === undefined) return;
    oldest.standby = false;
    if (!oldest.started) return;
    effects.push({ type: "notice", session: oldest.id, reason: "TAKEN_OVER", detail: "the session that worked has gone; this one works now", range: undefined });
  }
}
