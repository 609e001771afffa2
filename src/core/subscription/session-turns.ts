import type { SessionId } from "../session.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

/**
 * Whose turn it is. Sessions with room take batches one after the other, and of a few messages each takes a part that goes by
 * its room: otherwise the first would get all of a burst, and the others would stand idle beside it.
 */
export class SessionTurns {
  private lastServed: SessionId | undefined;
  /** Sessions that have not had their turn in this round of shares. */
  private turnsLeft = 0;
  /** Of the round: how many messages there are for each message of room. */
  private readyPerRoom = 0;
  /** Who takes messages one by one, in this hand-out. */
  private ring: SessionState[] | undefined;
  private ringAt = 0;
  /** The session that takes nothing more, so that a suspect can go to it alone. Chosen anew at each hand-out. */
  private reserved: SessionState | undefined;

  constructor(private readonly state: SubscriptionState) {}

  /** Nothing more goes out in this turn of the event loop. What could have is left for a later one. */
  get isOver(): boolean {
    const { turn } = this.state;
    if (!turn.isSpent) return false;
    turn.leftOver = true;
    return true;
  }

  /** Before each hand-out. */
  begin(): void {
    this.reserved = undefined;
    this.ring = undefined;
    this.beginRound();
  }

  /** Other messages are shared out from here on. */
  beginRound(): void {
    this.turnsLeft = 0;
  }

  /** How many of `ready` messages the next batch of a session may have, which has room. */
  shareOf(session: SessionState, ready: number): number {
    if (this.state.sessions.size === 1) return ready;
    if (this.turnsLeft === 0) {
      let room = 0;
      for (const each of this.state.sessions.values()) {
        if (!this.mayTake(each)) continue;
        room += each.windowRoom;
        this.turnsLeft++;
      }
      this.readyPerRoom = ready / room;
    }
    this.turnsLeft--;
    return Math.max(1, Math.ceil(this.readyPerRoom * session.windowRoom));
  }

  /** The session that takes the next single message, another one each time. */
  rotate(): SessionState | undefined {
    this.ring ??= this.takersInTurn();
    for (let session = this.ring[this.ringAt]; session !== undefined; session = this.ring[this.ringAt]) {
      if (this.mayTake(session)) {
        this.ringAt = (this.ringAt + 1) % this.ring.length;
        return session;
      }
      this.ring.splice(this.ringAt, 1);
      if (this.ringAt === this.ring.length) this.ringAt = 0;
    }
    return undefined;
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
      if (mayTake && first === undefined && this.isOver) return undefined;
      if (mayTake && passedLast) return session;
      if (mayTake) first ??= session;
      if (session.id === this.lastServed) passedLast = true;
    }
    return first;
  }

  private takersInTurn(): SessionState[] {
    this.ringAt = 0;
    const takers = [...this.state.sessions.values()].filter((session) => this.mayTake(session));
    const next = this.nextTaker();
    return next === undefined ? [] : [...takers.splice(takers.indexOf(next)), ...takers];
  }

  /** A session with nothing in flight, for a suspect. */
  idleTaker(): SessionState | undefined {
    if (this.state.pause !== undefined) return undefined;
    for (const session of this.state.sessions.values()) if (isIdle(session)) return this.isOver ? undefined : session;
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
