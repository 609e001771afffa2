import { OffsetRanges } from "../offset-ranges.js";
import type { DeliveryCause, Settlement } from "../session.js";
import { monotonicMs, offset, wallMs, type Now, type Offset } from "../units.js";
import { backoffMs } from "./backoff.js";
import type { Confirmation } from "./confirmations.js";
import type { DeliveryBatch } from "./delivery-batch.js";
import type { DeadLetter, Effect } from "./effects.js";
import type { SessionState } from "./session-state.js";
import { Settling } from "./settling.js";
import type { SubscriptionState } from "./subscription-state.js";

/** What becomes of messages whose lease has ended: settled, ready again, waiting, or on their way to the dead letters. */
export class Verdicts {
  private readonly buriedNotices: { version: number; deadLetter: DeadLetter }[] = [];

  constructor(private readonly state: SubscriptionState) {}

  /** Applies a client's frame and owes it an answer. */
  settle(session: SessionState, requestId: bigint, settlement: Settlement, now: Now, effects: Effect[]): void {
    const { state } = this;
    const confirmation: { -readonly [K in keyof Confirmation]: Confirmation[K] } = { session: session.id, requestId, failures: [], version: 0, burials: 0 };
    const buried: DeadLetter[] = [];
    const settling = new Settling(session, requestId, now.monotonicMs, {
      acked: (first, last) => { this.acked(first, last); },
      released: (batch, first, last) => { this.release(batch, first, last); },
      rejected: (batch, first, last, reason) => {
        this.giveUp(session, batch, first, last, "REJECTED", reason, confirmation, buried);
      },
      retried: (batch, first, last, delayMs, reason) => {
        if (batch.facts.attempt >= state.settings.maxAttempts) {
          this.giveUp(session, batch, first, last, "MAX_ATTEMPTS", reason, confirmation, buried);
        } else this.retry(batch, first, last, delayMs, reason, now);
      },
    });
    confirmation.failures = settling.apply(settlement);
    if (buried.length > 0) effects.push({ type: "bury", deadLetters: buried });
    if (requestId === 0n && confirmation.failures.length === 0) return;
    confirmation.version = state.version;
    state.confirmations.add(confirmation);
  }

  /** Settles messages for good. */
  acked(first: Offset, last: Offset): void {
    this.state.unsettled.remove(first, last);
    this.state.change();
  }

  /** Gives messages back uncounted. */
  release(batch: DeliveryBatch, first: Offset, last: Offset): void {
    const { attempt, deliveryCount, lastReason } = batch.facts;
    this.state.returned.add({ attempt, deliveryCount, lastReason, cause: "RELEASED" }, first, last, 0, Infinity);
  }

  /** Ends an attempt: the messages come again after a delay, under the next attempt number. */
  private retry(batch: DeliveryBatch, first: Offset, last: Offset, delayMs: number | undefined, reason: string, now: Now): void {
    const { attempt, deliveryCount } = batch.facts;
    const delay = delayMs ?? backoffMs(this.state.settings, attempt, first);
    const offsets = new OffsetRanges();
    offsets.add(first, last);
    this.state.returned.wait({
      offsets,
      attempt: attempt + 1,
      deliveryCount,
      cause: "RETRY",
      lastReason: reason,
      afterVersion: this.state.change(),
      dueAt: monotonicMs(now.monotonicMs + delay),
      dueWallMs: wallMs(Math.max(1, Math.round(now.wallMs + delay))),
    });
  }

  /** A hand-out ended without a verdict. */
  loseLease(session: SessionState, batch: DeliveryBatch, first: Offset, last: Offset, cause: DeliveryCause, effects: Effect[]): void {
    const { attempt, deliveryCount, lastReason } = batch.facts;
    if (batch.alone && batch.count === 1 && deliveryCount >= this.state.settings.maxDeliveries) {
      const buried: DeadLetter[] = [];
      this.giveUp(session, batch, first, last, "MAX_DELIVERIES", lastReason, undefined, buried);
      if (buried.length > 0) effects.push({ type: "bury", deadLetters: buried });
      return;
    }
    const trouble = { attempt, deliveryCount: deliveryCount + 1, cause, lastReason };
    this.state.returned.add(trouble, first, last, this.state.change(), batch.alone ? batch.count : Infinity);
  }

  /** Sends messages to the dead letters, or for an ephemeral subscriber, which has none, settles them. */
  private giveUp(
    session: SessionState,
    batch: DeliveryBatch,
    first: Offset,
    last: Offset,
    reason: DeadLetter["reason"],
    detail: string,
    confirmation: Confirmation | undefined,
    buried: DeadLetter[],
  ): void {
    if (this.state.settings.ephemeral) {
      this.acked(first, last);
      return;
    }
    const { attempt, deliveryCount } = batch.facts;
    const facts = { reason, detail, attempts: attempt, deliveries: deliveryCount, holderSession: session.id, holderClient: session.settings.clientId };
    for (let at: Offset = first; at <= last; at = offset(at + 1)) {
      const deadLetter: DeadLetter = { offset: at, ...facts };
      this.state.burials.set(at, { deadLetter, confirmation });
      if (confirmation !== undefined) confirmation.burials++;
      buried.push(deadLetter);
    }
  }

  /** The copies are in the commit that is being filled, and so is the cursor without these messages. */
  bury(offsets: readonly Offset[]): void {
    const { state } = this;
    for (const at of offsets) {
      const burial = state.burials.get(at);
      if (burial === undefined) continue;
      state.burials.delete(at);
      state.unsettled.remove(at, at);
      const version = state.change();
      this.buriedNotices.push({ version, deadLetter: burial.deadLetter });
      if (burial.confirmation === undefined) continue;
      burial.confirmation.burials--;
      burial.confirmation.version = version;
    }
  }

  /** Tells every session of the dead letters that are durable by now. */
  noticeBuried(effects: Effect[]): void {
    const due = this.buriedNotices.findIndex(({ version }) => version > this.state.durableVersion);
    for (const { deadLetter } of this.buriedNotices.splice(0, due === -1 ? this.buriedNotices.length : due)) {
      const range = { first: deadLetter.offset, last: deadLetter.offset };
      const detail = deadLetter.detail === "" ? deadLetter.reason : `${deadLetter.reason}: ${deadLetter.detail}`;
      for (const session of this.state.sessions.keys()) effects.push({ type: "notice", session, reason: "DEAD_LETTERED", detail, range });
    }
  }
}
