import { LIMITS } from "../limits.js";
import type { SessionId, SettleFailure, Settlement } from "../session.js";
import { monotonicMs, offset, wallMs, type Now, type Offset } from "../units.js";
import { backoffMs } from "./backoff.js";
import type { BlockedMessage } from "./blocked-lanes.js";
import type { Confirmation } from "./confirmations.js";
import { FATE, type DeliveryBatch } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { Return } from "./return.js";
import type { DeadLetter, Effect, NoticeReason } from "./effects.js";
import type { Fact } from "./facts.js";
import type { SessionState } from "./session-state.js";
import { Settling } from "./settling.js";
import type { SubscriptionState } from "./subscription-state.js";

/** What becomes of messages whose lease has ended: settled, to go out again, or on their way to the dead letters. */
export class Verdicts {
  private readonly buriedNotices: { version: number; deadLetter: DeadLetter }[] = [];

  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
  ) {}

  /** Applies a client's frame and owes it an answer. */
  settle(session: SessionState, requestId: bigint, settlement: Settlement, now: Now, effects: Effect[]): void {
    const { state, order } = this;
    const failures: SettleFailure[] = [];
    const owed: Confirmation = { session: session.id, requestId, failures, version: 0, waits: 0 };
    const settling = new Settling(session, requestId, now, {
      acked: (first, last) => {
        state.tally.acked += last - first + 1;
        order.acked(first, last, owed);
      },
      released: (batch, first, last) => { this.release(batch, first, last, effects); },
      rejected: (batch, first, last, reason) => {
        state.tally.rejected += last - first + 1;
        this.giveUp(session, batch, first, last, { reason: "REJECTED", detail: reason }, owed);
      },
      retried: (batch, first, last, delayMs, reason) => {
        state.tally.retried += last - first + 1;
        if (batch.facts.attempt >= state.settings.maxAttempts) {
          this.giveUp(session, batch, first, last, { reason: "MAX_ATTEMPTS", detail: reason }, owed);
        } else this.retry(batch, first, last, delayMs, reason, now, effects);
      },
      repeated: (batch, first, last) => { this.repeat(batch, first, last, owed); },
      repeatedThrough: (batchId) => { order.repeatedThrough(session, batchId, owed); },
      retriedByHand: (at, delayMs, reason) => this.retryBlocked(at, delayMs, reason, now),
      outlived: (batch, first, last) => {
        if (state.keepsExpired) {
          this.giveUp(session, batch, first, last, { reason: "EXPIRED", detail: batch.facts.lastReason }, undefined);
          return;
        }
        state.noteExpired(last - first + 1);
        order.acked(first, last, undefined);
      },
      rejectedByHand: (at, reason) => this.buryBlocked(at, { reason: "REJECTED", detail: reason }, owed),
    });
    failures.push(...settling.apply(settlement));
    if (requestId === 0n && failures.length === 0 && owed.waits === 0) return;
    owed.version = state.version;
    state.confirmations.add(owed);
  }

  /** The transport took it, or had it in hand when the stream ended: settled. */
  taken(first: Offset, last: Offset): void {
    this.state.tally.acked += last - first + 1;
    this.order.acked(first, last, undefined);
  }

  /** Gives messages back uncounted. */
  release(batch: DeliveryBatch, first: Offset, last: Offset, effects: Effect[]): void {
    const { attempt, deliveryCount, lastReason } = batch.facts;
    this.state.tally.released += last - first + 1;
    const how = { attempt, deliveryCount, lastReason, cause: "RELEASED", afterVersion: 0, together: Infinity, due: undefined } as const;
    this.order.returned(first, last, how, effects);
  }

  /** Takes back what its client never heard of: it comes again as if for the first time. */
  withdraw({ session: id, batchId, first }: Extract<Fact, { type: "hand_out_withdrawn" }>, effects: Effect[]): void {
    const session = this.state.sessions.get(id);
    const batch = session?.batch(batchId);
    const positions = batch?.positions(first, batch.last);
    if (session === undefined || batch === undefined || positions === undefined) return;
    session.concludeHeld(batch, positions, FATE.RELEASED, (from, through) => {
      this.state.tally.released += through - from + 1;
      this.order.returned(from, through, { ...batch.facts, afterVersion: 0, together: Infinity, due: undefined }, effects);
    });
    this.order.sessionChanged(session);
  }

  /** A hand-out ended without a verdict. */
  loseLease(session: SessionState, batch: DeliveryBatch, first: Offset, last: Offset, cause: "TIMEOUT" | "DISCONNECT", effects: Effect[]): void {
    this.state.tally.lost[cause] += last - first + 1;
    const { attempt, deliveryCount, lastReason } = batch.facts;
    if (batch.alone && batch.count === 1 && deliveryCount >= this.state.settings.maxDeliveries) {
      this.giveUp(session, batch, first, last, { reason: "MAX_DELIVERIES", detail: lastReason }, undefined);
      return;
    }
    const counted = { attempt, deliveryCount: deliveryCount + 1, cause, lastReason };
    const together = batch.alone ? batch.count : Infinity;
    this.order.returned(first, last, { ...counted, afterVersion: this.state.change(), together, due: undefined }, effects);
  }

  /** Lanes are not blocked any more: what blocked them goes the way that poison goes now. */
  unblockAll(): void {
    for (const at of this.order.blocked?.offsets() ?? []) this.buryBlocked(at, undefined, undefined);
  }

  /** Asks for the copies of what was given up in this step. */
  bury(effects: Effect[]): void {
    const { state } = this;
    if (state.givenUp.length === 0) return;
    effects.push({ type: "bury", deadLetters: state.givenUp });
    state.givenUp = [];
  }

  /** The copies are in the commit that is being filled, and so is the cursor without these messages. */
  buried(offsets: readonly Offset[]): void {
    const { state } = this;
    for (const at of offsets) {
      const burial = state.burials.get(at);
      if (burial === undefined) continue;
      const { deadLetter } = burial;
      state.burials.delete(at);
      const { lastSettled } = state;
      if (!burial.detached) this.order.buried(at);
      if (deadLetter.reason === "EXPIRED") {
        state.noteExpired(1);
        // Nobody gave a verdict on it: a client that keeps its own position is not behind for that.
        state.lastSettled = lastSettled;
      }
      const version = state.change();
      this.buriedNotices.push({ version, deadLetter });
      for (const owed of burial.owed) {
        owed.waits--;
        owed.version = version;
      }
    }
  }

  /** Tells every session of the dead letters and the blocked lanes that are durable by now. */
  noticePoison(effects: Effect[]): void {
    const { durableVersion } = this.state;
    const due = this.buriedNotices.findIndex(({ version }) => version > durableVersion);
    for (const { deadLetter } of this.buriedNotices.splice(0, due === -1 ? this.buriedNotices.length : due)) {
      for (const { id: session } of this.state.startedSessions()) effects.push(poisonNotice(session, "DEAD_LETTERED", deadLetter));
    }
    for (const message of this.order.blocked?.takeNews(durableVersion) ?? []) {
      for (const { id: session } of this.state.startedSessions()) effects.push(blockedNotice(session, message));
    }
  }

  /** Tells a session that has just come of lanes that are blocked already. */
  noticeBlocked(session: SessionId, effects: Effect[]): void {
    const known = this.order.blocked?.known(this.state.durableVersion, LIMITS.blockedLanesTold) ?? [];
    for (const message of known) effects.push(blockedNotice(session, message));
  }

  /** What the first verdict waits for, its repetition waits for too: a lane, or the copy of a dead letter. */
  private repeat(batch: DeliveryBatch, first: Offset, last: Offset, owed: Confirmation): void {
    this.order.repeated(batch, first, last, owed);
    for (const [at, burial] of this.state.burials) {
      if (at < first || last < at || burial.owed.includes(owed)) continue;
      owed.waits++;
      burial.owed.push(owed);
    }
  }

  /** Ends an attempt: the messages come again after a delay, under the next attempt number. */
  private retry(batch: DeliveryBatch, first: Offset, last: Offset, delayMs: number | undefined, reason: string, now: Now, effects: Effect[]): void {
    const { attempt, deliveryCount } = batch.facts;
    const due = dueIn(delayMs ?? backoffMs(this.state.settings, attempt, first), now);
    const again = { attempt: attempt + 1, deliveryCount, cause: "RETRY", lastReason: reason } as const;
    this.order.returned(first, last, { ...again, afterVersion: this.state.change(), together: Infinity, due }, effects);
  }

  /** Sends messages to the dead letters, or for an ephemeral subscriber, which has none, settles them. */
  private giveUp(
    session: SessionState,
    { facts }: DeliveryBatch,
    first: Offset,
    last: Offset,
    why: Pick<DeadLetter, "reason" | "detail">,
    owed: Confirmation | undefined,
  ): void {
    const settles = this.state.settings.ephemeral && (why.reason === "REJECTED" || this.state.settings.onPoison === "DEAD_LETTER");
    if (settles) {
      if (why.reason !== "REJECTED") session.gaveUp(last - first + 1);
      this.order.acked(first, last, owed);
      return;
    }
    const { reason } = why;
    const isPoison = reason === "MAX_ATTEMPTS" || reason === "MAX_DELIVERIES";
    const holder = { holderSession: session.id, holderClient: session.settings.clientId };
    const bury = (from: Offset, through: Offset): void => {
      if (isPoison) session.gaveUp(through - from + 1);
      for (let at: Offset = from; at <= through; at = offset(at + 1)) {
        this.state.bury({ offset: at, ...why, attempts: facts.attempt, deliveries: facts.deliveryCount, ...holder }, owed);
      }
    };
    if (!isPoison) this.order.rejected(first, last, owed, bury);
    else this.order.poisoned(first, last, owed, { ...facts, reason, lastReason: why.detail, ...holder }, bury);
  }

  /** One more attempt, or one more hand-out, whichever had run out. */
  private retryBlocked(at: Offset, delayMs: number | undefined, reason: string, now: Now): boolean {
    const poison = this.order.blocked?.find(at);
    if (poison === undefined) return false;
    this.state.tally.retried++;
    const { attempt, deliveryCount } = poison;
    const counts = poison.reason === "MAX_ATTEMPTS" ? { attempt: attempt + 1, deliveryCount } : { attempt, deliveryCount: deliveryCount + 1 };
    const due = dueIn(delayMs ?? backoffMs(this.state.settings, attempt, at), now);
    this.order.blocked?.again(at, { ...counts, cause: "RETRY", lastReason: reason, afterVersion: this.state.change(), together: Infinity, due });
    return true;
  }

  /** Out of its lane into the dead letters; `why` undefined: for what made it poison. */
  private buryBlocked(at: Offset, why: Pick<DeadLetter, "reason" | "detail"> | undefined, owed: Confirmation | undefined): boolean {
    const poison = this.order.blocked?.leave(at);
    if (poison === undefined) return false;
    if (why !== undefined) this.state.tally.rejected++;
    if (this.state.settings.ephemeral) {
      this.order.buried(at);
      this.state.change();
      return true;
    }
    const { reason, lastReason, attempt, deliveryCount, holderSession, holderClient } = poison;
    this.state.bury({ offset: at, reason, detail: lastReason, ...why, attempts: attempt, deliveries: deliveryCount, holderSession, holderClient }, owed);
    return true;
  }
}

function dueIn(delayMs: number, now: Now): NonNullable<Return["due"]> {
  return { at: monotonicMs(now.monotonicMs + delayMs), wallMs: wallMs(Math.max(1, Math.round(now.wallMs + delayMs))) };
}

function blockedNotice(session: SessionId, { offset: at, poison: { reason, lastReason } }: BlockedMessage): Effect {
  return poisonNotice(session, "LANE_BLOCKED", { offset: at, reason, detail: lastReason });
}

function poisonNotice(session: SessionId, reason: NoticeReason, message: Pick<DeadLetter, "offset" | "reason" | "detail">): Effect {
  const detail = message.detail === "" ? message.reason : `${message.reason}: ${message.detail}`;
  return { type: "notice", session, reason, detail, range: { first: message.offset, last: message.offset } };
}
