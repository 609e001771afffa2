import { LIMITS } from "../limits.js";
import { OffsetRanges } from "../offset-ranges.js";
import type { DeliveryRun, SettleFailure, SettleFailureCode, Settlement } from "../session.js";
import { monotonicMs, offset, type Now, type Offset } from "../units.js";
import { FATE, type DeliveryBatch, type Fate, type Positions } from "./delivery-batch.js";
import type { SessionState } from "./session-state.js";

/** What the machine does with messages as their lease ends; each call is one stretch of offsets that was held. */
export interface SettleOutcome {
  acked(first: Offset, last: Offset): void;
  retried(batch: DeliveryBatch, first: Offset, last: Offset, delayMs: number | undefined, reason: string): void;
  rejected(batch: DeliveryBatch, first: Offset, last: Offset, reason: string): void;
  released(batch: DeliveryBatch, first: Offset, last: Offset): void;
  /** The same verdict as before: it stands, and is answered no sooner than the first time. */
  repeated(batch: DeliveryBatch, first: Offset, last: Offset): void;
  /** A cumulative ack through a batch: answered no sooner than the verdicts before it that it covers. */
  repeatedThrough(batchId: number): void;
  /** A verdict by hand on the message that blocks its lane; false when this one blocks none. */
  retriedByHand(at: Offset, delayMs: number | undefined, reason: string): boolean;
  rejectedByHand(at: Offset, reason: string): boolean;
  /** It expired before it had another verdict than an ack. */
  outlived(batch: DeliveryBatch, first: Offset, last: Offset): void;
}

/** What a settle item wants of the messages it names. An extension is no verdict: the lease goes on. */
type Wish =
  | { readonly fate: Fate; readonly held: (batch: DeliveryBatch, first: Offset, last: Offset) => void }
  | { readonly fate: "EXTEND"; readonly leaseMs: number | undefined };

const EVERYTHING = { first: offset(1), last: offset(Number.MAX_SAFE_INTEGER) };

/**
 * Applies one client frame of verdicts. A bad item fails alone and is named; the others apply.
 *
 * An item without batch id means the last batch that handed the message to this session, so what is held now comes first.
 */
export class Settling {
  private readonly failures: SettleFailure[] = [];

  constructor(
    private readonly session: SessionState,
    private readonly requestId: bigint,
    private readonly now: Now,
    private readonly outcome: SettleOutcome,
  ) {}

  apply(settlement: Settlement): readonly SettleFailure[] {
    const { outcome } = this;
    const ack: Wish = { fate: FATE.ACKED, held: (_, first, last) => { outcome.acked(first, last); } };
    for (const range of settlement.acks) this.settle(range, ack);
    if (settlement.ackThroughBatchId > 0) this.ackThrough(settlement.ackThroughBatchId, ack);
    for (const { range, delayMs, reason } of settlement.retries) {
      if (isByHand(range) && outcome.retriedByHand(range.first, delayMs, reason)) continue;
      this.settle(range, { fate: FATE.RETRIED, held: (batch, first, last) => { outcome.retried(batch, first, last, delayMs, reason); } });
    }
    for (const { range, reason } of settlement.rejects) {
      if (isByHand(range) && outcome.rejectedByHand(range.first, reason)) continue;
      this.settle(range, { fate: FATE.REJECTED, held: (batch, first, last) => { outcome.rejected(batch, first, last, reason); } });
    }
    const release: Wish = { fate: FATE.RELEASED, held: (batch, first, last) => { outcome.released(batch, first, last); } };
    for (const range of settlement.releases) this.settle(range, release);
    for (const { range, leaseMs } of settlement.extends) this.settle(range, { fate: "EXTEND", leaseMs });
    if (settlement.extendAllMs !== undefined) this.extendAll(settlement.extendAllMs);
    return this.failures;
  }

  private settle(range: DeliveryRun, wish: Wish): void {
    // A run that starts before the first offset, or runs backwards, names nothing.
    if (range.first < 1 || range.last < range.first) this.fail(range, "NOT_HELD");
    else if (range.batchId === 0) this.settleAnywhere(range, wish);
    else this.settleInBatch(range, wish);
  }

  private settleInBatch(range: DeliveryRun, wish: Wish): void {
    const batch = this.session.batch(range.batchId);
    if (batch === undefined) {
      if (range.batchId >= this.session.nextBatchId) this.fail(range, "NOT_HELD");
      else if (wish.fate !== FATE.ACKED) this.fail(range, "LEASE_LOST");
      return;
    }
    if (!this.touch(batch, range.first, range.last, wish)) this.fail(range, "NOT_HELD");
  }

  private settleAnywhere(range: DeliveryRun, wish: Wish): void {
    const decided = new OffsetRanges();
    const wanted = range.last - range.first + 1;
    for (const batch of this.session.held.values()) {
      this.touchHeld(batch, range, wish, decided);
      if (decided.size === wanted) return;
    }
    for (let id = this.session.nextBatchId - 1; id >= this.session.oldestRemembered; id--) {
      const batch = this.session.batch(id);
      if (batch === undefined || batch.last < range.first || batch.first > range.last) continue;
      for (const hole of decided.missing(range.first, range.last)) {
        if (this.touch(batch, hole.first, hole.last, wish)) addHandedOut(decided, batch, hole.first, hole.last);
      }
      if (decided.size === wanted) return;
    }
    if (decided.isEmpty) this.fail(range, "NOT_HELD");
  }

  /** Only what this batch still holds; notes it as decided. */
  private touchHeld(batch: DeliveryBatch, range: DeliveryRun, wish: Wish, decided: OffsetRanges): void {
    if (batch.last < range.first || batch.first > range.last) return;
    const positions = batch.positions(range.first, range.last);
    if (positions === undefined) return;
    const held: { first: Offset; last: Offset }[] = [];
    batch.visit(positions, (first, last, before) => {
      if (before === FATE.HELD) held.push({ first, last });
    });
    for (const { first, last } of held) {
      decided.add(first, last);
      this.touch(batch, first, last, wish);
    }
  }

  /** Applies a wish to the part of a batch; false when the batch never had a message there. */
  private touch(batch: DeliveryBatch, first: Offset, last: Offset, wish: Wish): boolean {
    const positions = batch.positions(first, last);
    if (positions === undefined) return false;
    const { batchId } = batch.facts;
    if (this.session.isAuto && wish.fate !== FATE.ACKED) {
      // Settled when it was sent, though the transport may not have said so yet.
      batch.visit(positions, (from, through) => { this.fail({ first: from, last: through, batchId }, "ALREADY_SETTLED"); });
      return true;
    }
    if (wish.fate === "EXTEND") {
      const lease = this.session.deadlineFrom(this.now.monotonicMs, wish.leaseMs ?? this.session.settings.ackTimeoutMs);
      batch.extend(positions, lease, batch.latestDeadline(LIMITS.ackTimeoutMsMax));
      batch.visit(positions, (from, through, before) => {
        const code = failureOf(before, FATE.HELD);
        if (code !== undefined) this.fail({ first: from, last: through, batchId }, code);
      });
      return true;
    }
    const { fate, held } = wish;
    if (fate !== FATE.ACKED) this.settleOutlived(batch, positions);
    this.session.conclude(batch, positions, fate, (from, through, before) => {
      if (before === FATE.HELD) {
        held(batch, from, through);
        return;
      }
      const code = failureOf(before, fate);
      if (code === undefined) this.outcome.repeated(batch, from, through);
      else this.fail({ first: from, last: through, batchId }, code);
    });
    return true;
  }

  /** A message that has expired is settled: only an ack of it is no failure. */
  private settleOutlived(batch: DeliveryBatch, positions: Positions): void {
    for (const at of batch.outlived(positions, this.now.wallMs)) {
      this.session.conclude(batch, { first: at, last: at }, FATE.ACKED, (first, last) => { this.outcome.outlived(batch, first, last); });
    }
  }

  /** Everything received up to a batch and not yet acked that way. */
  private ackThrough(batchId: number, ack: Wish): void {
    if (batchId >= this.session.nextBatchId) {
      this.fail({ first: offset(0), last: offset(0), batchId }, "NOT_HELD");
      return;
    }
    const from = Math.max(this.session.ackedThrough + 1, this.session.oldestRemembered);
    for (const [id, batch] of this.session.held) {
      if (id < from && id <= batchId) this.touch(batch, EVERYTHING.first, EVERYTHING.last, ack);
    }
    for (let id = from; id <= batchId; id++) {
      const batch = this.session.batch(id);
      if (batch === undefined) continue;
      if (batch.heldMessages === batch.count) this.touch(batch, EVERYTHING.first, EVERYTHING.last, ack);
      else this.ackReceived(batch, ack);
    }
    this.session.ackedThrough = Math.max(this.session.ackedThrough, batchId);
    this.outcome.repeatedThrough(batchId);
  }

  /** Acks what a partly settled batch still holds; its other verdicts stand, and only a lost lease is a failure. */
  private ackReceived(batch: DeliveryBatch, ack: Wish): void {
    const held: { first: Offset; last: Offset }[] = [];
    batch.visit(batch.all, (first, last, before) => {
      if (before === FATE.HELD) held.push({ first, last });
      else if (before === FATE.ACKED) this.outcome.repeated(batch, first, last);
      else if (before === FATE.LOST) this.fail({ first, last, batchId: batch.facts.batchId }, "LEASE_LOST");
    });
    for (const { first, last } of held) this.touch(batch, first, last, ack);
  }

  private extendAll(leaseMs: number): void {
    if (this.session.isAuto) return;
    const deadline = monotonicMs(this.now.monotonicMs + leaseMs);
    for (const batch of this.session.held.values()) {
      batch.extend(batch.all, deadline, batch.latestDeadline(LIMITS.ackTimeoutMsMax));
    }
  }

  private fail(range: DeliveryRun, code: SettleFailureCode): void {
    const last = this.failures[this.failures.length - 1];
    if (last?.code === code && last.range.batchId === range.batchId && last.range.last + 1 === range.first) {
      this.failures[this.failures.length - 1] = { ...last, range: { ...last.range, last: range.last } };
      return;
    }
    this.failures.push({ requestId: this.requestId, range, code });
  }
}

/** Exactly one message, of no batch: what blocks a lane is held by nobody. */
function isByHand({ first, last, batchId }: DeliveryRun): boolean {
  return batchId === 0 && first === last;
}

/** Why a verdict cannot stand against an earlier fate; undefined when repeating it does no harm. */
function failureOf(before: Fate, wanted: Fate): SettleFailureCode | undefined {
  if (before === wanted) return undefined;
  if (before === FATE.LOST || before === FATE.RELEASED) return "LEASE_LOST";
  return "ALREADY_SETTLED";
}

function addHandedOut(decided: OffsetRanges, batch: DeliveryBatch, first: Offset, last: Offset): void {
  const positions = batch.positions(first, last);
  if (positions === undefined) return;
  batch.visit(positions, (from, through) => { decided.add(from, through); });
}
