import type { SettleFailure, Settlement } from "../session.js";
import { monotonicMs, offset, wallMs, type Now, type Offset } from "../units.js";
import { backoffMs } from "./backoff.js";
import type { Confirmation } from "./confirmations.js";
import type { DeliveryBatch } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { DeadLetter, Effect } from "./effects.js";
import type { SessionState } from "./session-state.js";
import { Settling } from "./settling.js";
import type { SubscriptionState } from "./subscription-state.js";

/** What becomes of messages whose lease has ended: settled, to go out again, or on their way to the dead letters. */
export class Verdicts {
  /** Given up in this step; `bury` asks for all of them at its end. */
  private givenUp: DeadLetter[] = [];
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
    const settling = new Settling(session, requestId, now.monotonicMs, {
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

  /** Asks for the copies of what was given up in this step. */
  bury(effects: Effect[]): void {
    if (this.givenUp.length === 0) return;
    effects.push({ type: "bury", deadLetters: this.givenUp });
    this.givenUp = [];
  }

  /** The copies are in the commit that is being filled, and so is the cursor without these messages. */
  buried(offsets: readonly Offset[]): void {
    const { state } = this;
    for (const at of offsets) {
      const burial = state.burials.get(at);
      if (burial === undefined) continue;
      const { deadLetter, owed } = burial;
      state.burials.delete(at);
      this.order.buried(at);
      const version = state.change();
      this.buriedNotices.push({ version, deadLetter });
      if (owed === undefined) continue;
      owed.waits--;
      owed.version = version;
    }
  }

  /** Tells every session of the dead letters that are durable by now. */
  noticeBuried(effects: Effect[]): void {
    const due = this.buriedNotices.findIndex(({ version }) => version > this.state.durableVersion);
    for (const { deadLetter } of this.buriedNotices.splice(0, due === -1 ? this.buriedNotices.length : due)) {
      const range = { first: deadLetter.offset, last: deadLetter.offset };
      const detail = deadLetter.detail === "" ? deadLetter.reason : `${deadLetter.reason}: ${deadLetter.detail}`;
      for (const { id: session } of this.state.startedSessions()) effects.push({ type: "notice", session, reason: "DEAD_LETTERED", detail, range });
    }
  }

  /** Ends an attempt: the messages come again after a delay, under the next attempt number. */
  private retry(batch: DeliveryBatch, first: Offset, last: Offset, delayMs: number | undefined, reason: string, now: Now, effects: Effect[]): void {
    const { attempt, deliveryCount } = batch.facts;
    const delay = delayMs ?? backoffMs(this.state.settings, attempt, first);
    const due = { at: monotonicMs(now.monotonicMs + delay), wallMs: wallMs(Math.max(1, Math.round(now.wallMs + delay))) };
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
    if (this.state.settings.ephemeral) {
      this.order.acked(first, last, owed);
      return;
    }
    const holder = { holderSession: session.id, holderClient: session.settings.clientId };
    this.order.rejected(first, last, owed, (from, through) => {
      for (let at: Offset = from; at <= through; at = offset(at + 1)) {
        const deadLetter: DeadLetter = { offset: at, ...why, attempts: facts.attempt, deliveries: facts.deliveryCount, ...holder };
        this.state.burials.set(at, { deadLetter, owed });
        if (owed !== undefined) owed.waits++;
        this.givenUp.push(deadLetter);
      }
    });
  }
}
