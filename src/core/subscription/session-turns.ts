import type { SessionId } from "../session.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

/** Whose turn it is: sessions with room take batches one after the other. */
export class SessionTurns {
  private lastServed: SessionId | undefined;
  /** The session that takes nothing more, so that a suspect can go to it alone. Chosen anew at each hand-out. */
  private reserved: SessionState | undefined;

  constructor(private readonly state: SubscriptionState) {}

  /** Before each hand-out. */
  begin(): void {
    this.reserved = undefined;
  }

  served(session: SessionState): void {
    this.lastServed = session.id;
  }

  /** True when a session may take something that is no suspect. */
  mayTake(session: SessionState): boolean {
    return session !== this.reserved && session.canTake && this.state.pause === undefined;
  }

  /** The next session, in turn after the one served last, that may take a batch. */
  nextTaker(): SessionState | undefined {
    let first: SessionState | undefined;
    let passedLast = false;
    for (const session of this.state.sessions.values()) {
      const mayTake = this.mayTake(session);
      if (mayTake && passedLast) return session;
      if (mayTake) first ??= session;
      if (session.id === this.lastServed) passedLast = true;
    }
    return first;
  }

  /** A session with nothing in flight, for a suspect. */
  idleTaker(): SessionState | undefined {
    if (this.state.pause !== undefined) return undefined;
    for (const session of this.state.sessions.values()) if (isIdle(session)) return session;
    return undefined;
  }

  /** How many suspects could go out. */
  get idleCount(): number {
    let count = 0;
    if (this.state.pause !== undefined) return count;
    for (const session of this.state.sessions.values()) if (isIdle(session)) count++;
    return count;
  }

  /** Keeps the session with the least in flight free of other messages until a suspect can go to it. */
  reserve(): void {
    for (const session of this.state.sessions.values()) {
      if (!session.works || session.flow.paused || session.draining || session.finished || session.suspectInFlight) continue;
      if (this.reserved === undefined || session.inFlightMessages < this.reserved.inFlightMessages) this.reserved = session;
    }
  }
}

function isIdle(session: SessionState): boolean {
  return session.inFlightMessages === 0 && session.canTake;
}
