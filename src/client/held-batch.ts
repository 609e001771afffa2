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
  /** All of it, in the order of their indexes. */
  readonly deliveries: Delivery[] = [];
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
    this.facts = {
      batchId: safeNumber(batch.batchId, "batch_id"),
      attempt: batch.attempt,
      deliveryCount: batch.deliveryCount,
      cause: enumName(DeliveryCause, batch.cause),
      lastReason: batch.lastReason,
    };
    for (let i = 0; i < bounds.length; i += 2) {
      const start = bounds[i] ?? 0;
      this.deliveries.push(new Delivery(this, i / 2, messageOffset(bytes, start), start, bounds[i + 1] ?? 0));
    }
  }

  get heldCount(): number {
    return this.count;
  }

  /** The lowest offset that is held; Infinity when there is none. */
  get firstHeld(): number {
    return this.stillHeld().reduce((first, { offset }) => Math.min(first, offset), Infinity);
  }

  /** Holds all of it. */
  hold(): void {
    this.held = this.deliveries.slice();
    this.count = this.held.length;
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
