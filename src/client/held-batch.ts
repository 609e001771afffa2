import { DeliveryCause } from "../../generated/tidemark/v1/subscribe.js";
import { type BatchFacts, Delivery, type DeliveryHolder, type Verdict } from "./delivery.js";
import { enumName } from "./enum-name.js";
import { messageOffset } from "./message-bytes.js";
import { safeNumber } from "./safe-number.js";
import type { DeliveriesFrame } from "./subscribe-frame.js";

/** The session that a batch came over. */
export interface BatchSession {
  settle(batch: HeldBatch, delivery: Delivery, verdict: Verdict): void;
  settleConfirmed(batch: HeldBatch, delivery: Delivery, verdict: Verdict): Promise<void>;
}

/** The deliveries of one batch, and which of them are held: not settled, not recalled, on a stream that lives. */
export class HeldBatch implements DeliveryHolder {
  readonly facts: BatchFacts;
  readonly bytes: Buffer;
  private readonly bounds: readonly number[];
  /** By index; undefined where a delivery is not held any more. */
  private held: (Delivery | undefined)[] = [];
  private count = 0;
  /** Undefined as long as there are none, as mostly. */
  private recalled: Set<Delivery> | undefined;

  /** Nothing of it is held yet. */
  constructor(
    private readonly session: BatchSession,
    { batch, bytes, bounds }: DeliveriesFrame,
  ) {
    this.bytes = bytes;
    this.bounds = bounds;
    this.facts = {
      batchId: safeNumber(batch.batchId, "batch_id"),
      attempt: batch.attempt,
      deliveryCount: batch.deliveryCount,
      cause: enumName(DeliveryCause, batch.cause),
      lastReason: batch.lastReason,
    };
  }

  /** Makes its deliveries, in the order of their indexes, and keeps none: whoever keeps one does not keep its neighbours. */
  deliveries(): Delivery[] {
    const { bytes, bounds } = this;
    const deliveries: Delivery[] = [];
    for (let i = 0; i < bounds.length; i += 2) {
      const start = bounds[i] ?? 0;
      deliveries.push(new Delivery(this, i / 2, messageOffset(bytes, start), start, bounds[i + 1] ?? 0));
    }
    return deliveries;
  }

  get heldCount(): number {
    return this.count;
  }

  /** The lowest offset that is held; Infinity when there is none. */
  get firstHeld(): number {
    return this.stillHeld().reduce((first, { offset }) => Math.min(first, offset), Infinity);
  }

  /** Holds all of it, until each is let go of. */
  hold(deliveries: readonly Delivery[]): void {
    this.held = deliveries.slice();
    this.count = deliveries.length;
  }

  /** False when it is not held. */
  letGo(delivery: Delivery): boolean {
    if (!this.isHeld(delivery)) return false;
    this.held[delivery.index] = undefined;
    this.count--;
    return true;
  }

  /** The stream is over. */
  letGoAll(): void {
    this.held = [];
    this.count = 0;
  }

  stillHeld(): Delivery[] {
    return this.held.filter((delivery) => delivery !== undefined);
  }

  isHeld(delivery: Delivery): boolean {
    return this.held[delivery.index] === delivery;
  }

  /** The broker took it back. It is to be let go of. */
  recall(delivery: Delivery): void {
    (this.recalled ??= new Set()).add(delivery);
  }

  isRecalled(delivery: Delivery): boolean {
    return this.recalled?.has(delivery) ?? false;
  }

  settle(delivery: Delivery, verdict: Verdict): void {
    this.session.settle(this, delivery, verdict);
  }

  settleConfirmed(delivery: Delivery, verdict: Verdict): Promise<void> {
    return this.session.settleConfirmed(this, delivery, verdict);
  }
}
