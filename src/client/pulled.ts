import { nextTick } from "node:process";
import type { PullResponse } from "../../generated/tidemark/v1/pull.js";
import { Settlement, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import type { Connection } from "./connection.js";
import type { Delivery, Verdict } from "./delivery.js";
import { HeldBatch, type BatchSession } from "./held-batch.js";
import { safeNumber } from "./safe-number.js";
import { settleCall } from "./settle-call.js";
import { SettleCollector } from "./settle-collector.js";
import { notHeld, rangeHolds, settleFailed } from "./settle-waiters.js";
import { readSubscribeFrame, type DeliveriesFrame } from "./subscribe-frame.js";
import { TidemarkError } from "./tidemark-error.js";
import { durationFromMs, durationToMs } from "./wire-time.js";

/** Who waits for a verdict to be durable. */
interface Waiter {
  readonly delivery: Delivery;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What one pull leased. Settle each delivery as one of a subscription, then wait for `settled`: there is no stream that a failure
 * could be told on.
 */
export class Pulled implements BatchSession {
  /** Names the session: for the next pull, and for whoever settles what it holds from elsewhere. */
  readonly sessionId: string;
  /** This pull made the subscriber. Unexpected: a typo in its name. */
  readonly created: boolean;
  /** Matching messages that were not delivered to the subscriber yet. */
  readonly backlogCount: number;
  /** How long the deliveries are leased from when they came. */
  readonly ackTimeoutMs: number;
  /** In the order in which they came; none when nothing came in time. */
  readonly deliveries: readonly Delivery[];
  private readonly collector = new SettleCollector();
  private waiters: Waiter[] = [];
  private flushing = false;
  /** Verdicts that are not answered yet, and those that failed. */
  private readonly pending = new Set<Promise<void>>();

  constructor(
    private readonly connection: Connection,
    private readonly patienceMs: number,
    { batches, opened }: PullResponse,
  ) {
    if (opened === undefined) throw new TidemarkError("INTERNAL", "", "the broker's answer to a pull names no session");
    this.sessionId = opened.sessionId;
    this.created = opened.created;
    this.backlogCount = safeNumber(opened.backlogCount, "backlog_count");
    this.ackTimeoutMs = opened.ackTimeout === undefined ? 0 : durationToMs(opened.ackTimeout);
    this.deliveries = batches.flatMap((batch) => {
      const held = new HeldBatch(this, deliveriesFrame(batch));
      const deliveries = held.deliveries();
      held.hold(deliveries);
      return deliveries;
    });
  }

  /** Acks every delivery that has no verdict yet. */
  ack(): void {
    for (const delivery of this.deliveries) if (delivery.isHeld) delivery.ack();
  }

  /** Resolves when every verdict so far is durable; rejects with the first that did not hold, once. */
  async settled(): Promise<void> {
    const pending = [...this.pending];
    const outcomes = await Promise.allSettled(pending);
    for (const one of pending) this.pending.delete(one);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /**
   * Leases everything that the session holds for longer.
   *
   * @param leaseMs from now, 100 ms to 12 h; default: the ack timeout once more
   */
  async extend(leaseMs = this.ackTimeoutMs): Promise<void> {
    await settleCall(this.connection, this.patienceMs, this.sessionId, { ...Settlement.create(), extendAll: durationFromMs(leaseMs) });
  }

  /** For its deliveries: see `Delivery.ack` and the like. */
  settle(batch: HeldBatch, delivery: Delivery, verdict: Verdict): void {
    // Whoever does not ask `settled` is not told; the delivery comes again.
    this.settleConfirmed(batch, delivery, verdict).catch(() => undefined);
  }

  /** For its deliveries: see `Delivery.settle`. */
  settleConfirmed(batch: HeldBatch, delivery: Delivery, verdict: Verdict): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      if (!batch.letGo(delivery)) throw notHeld(delivery.offset, "is not held any more: it was settled before");
      this.collector.add(delivery, verdict);
      this.waiters.push({ delivery, resolve, reject });
      this.flushSoon();
    });
    this.pending.add(settled);
    return settled;
  }

  /** All verdicts of one turn go out in one call. */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    nextTick(() => {
      this.flushing = false;
      void this.flush();
    });
  }

  private async flush(): Promise<void> {
    const waiters = this.waiters;
    this.waiters = [];
    try {
      const { failures } = await settleCall(this.connection, this.patienceMs, this.sessionId, this.collector.take());
      for (const { delivery, resolve, reject } of waiters) {
        const failure = failures.find(({ range }) => range !== undefined && rangeHolds(range, delivery.batchId, delivery.offset));
        if (failure === undefined) resolve();
        else reject(settleFailed(delivery.offset, failure.code));
      }
    } catch (error) {
      for (const { reject } of waiters) reject(error);
    }
  }
}

/** A batch as a stream would have brought it. */
function deliveriesFrame(value: PullResponse["batches"][number]): DeliveriesFrame {
  const { frame } = readSubscribeFrame(Buffer.from(SubscribeResponse.encode({ frame: { $case: "deliveries", value } }).finish()));
  if (frame?.$case !== "deliveries") throw new Error("a batch does not have the shape in which it was encoded");
  return frame.value;
}
