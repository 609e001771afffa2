import { messageField, messageHeaders, messageExpireTime, messageOriginOffset, messagePublishTime, messageText, TAG } from "./message-bytes.js";

/** What becomes of a delivery. */
export type Verdict =
  /** Done: never delivered to this subscriber again. */
  | { readonly kind: "ack" }
  /** Failed this time: comes again after `delayMs` (default: the subscriber's backoff), at most `max_attempts` times. */
  | { readonly kind: "retry"; readonly delayMs?: number; readonly reason?: string }
  /** Failed for good: goes to the dead letters. */
  | { readonly kind: "reject"; readonly reason?: string }
  /** Not handled: goes back at once and counts as no attempt. */
  | { readonly kind: "release" };

/** What every delivery of one batch shares. */
export interface BatchFacts {
  readonly batchId: number;
  readonly attempt: number;
  readonly deliveryCount: number;
  readonly cause: string;
  readonly lastReason: string;
}

/** What a delivery needs of its batch. */
export interface DeliveryHolder {
  readonly facts: BatchFacts;
  /** The frame that the batch came in. */
  readonly bytes: Buffer;
  isHeld(delivery: Delivery): boolean;
  isRecalled(delivery: Delivery): boolean;
  settle(delivery: Delivery, verdict: Verdict): void;
  settleConfirmed(delivery: Delivery, verdict: Verdict): Promise<void>;
}

/**
 * One message in this client's hands, to be settled once: by `ack`, `retry`, `reject` or `release`, or by `settle`. It reads
 * its fields from the frame that it came in, when they are asked for.
 */
export class Delivery {
  private payloadRead: Buffer | undefined;
  private headersRead: Readonly<Record<string, string>> | undefined;

  constructor(
    private readonly batch: DeliveryHolder,
    /** Its place in the batch, from 0. */
    readonly index: number,
    /** Its place in the queue, from 1. A safe integer. */
    readonly offset: number,
    /** Where the message lies in the frame. */
    private readonly start: number,
    private readonly end: number,
  ) {}

  get event(): string {
    return messageText(this.batch.bytes, this.start, this.end, TAG.event);
  }

  /** A view of the frame that it came in with its whole batch: copy it (`Buffer.from`) to keep it much longer than these. */
  get payload(): Buffer {
    return (this.payloadRead ??= messageField(this.batch.bytes, this.start, this.end, TAG.payload));
  }

  /** The payload read as UTF-8. */
  get text(): string {
    return messageText(this.batch.bytes, this.start, this.end, TAG.payload);
  }

  get headers(): Readonly<Record<string, string>> {
    return (this.headersRead ??= messageHeaders(this.batch.bytes, this.start, this.end));
  }

  /** Empty: the publisher named none. */
  get messageId(): string {
    return messageText(this.batch.bytes, this.start, this.end, TAG.messageId);
  }

  /** Empty: the publisher named none. */
  get orderingKey(): string {
    return messageText(this.batch.bytes, this.start, this.end, TAG.orderingKey);
  }

  /** Undefined if the broker did not say. */
  get publishTime(): Date | undefined {
    return messagePublishTime(this.batch.bytes, this.start, this.end);
  }

  /** From when on it counts as expired. Undefined: never. */
  get expireTime(): Date | undefined {
    return messageExpireTime(this.batch.bytes, this.start, this.end);
  }

  /** Of a copy of a dead letter that was replayed: where it was first published. 0 of any other message. */
  get originOffset(): number {
    return messageOriginOffset(this.batch.bytes, this.start, this.end);
  }

  /** 1, and one more for each `retry` before. */
  get attempt(): number {
    return this.batch.facts.attempt;
  }

  /** 1, and one more for each time that it was handed out and came back without a verdict. */
  get deliveryCount(): number {
    return this.batch.facts.deliveryCount;
  }

  /** Why it comes: "NEW", "RETRY", "TIMEOUT", "DISCONNECT", "RELEASED", "SEEK"; "UNRECOGNIZED" for a cause newer than this client. */
  get cause(): string {
    return this.batch.facts.cause;
  }

  /** The reason of the `retry` before, empty if there was none. */
  get lastReason(): string {
    return this.batch.facts.lastReason;
  }

  /** Numbers the batches of a session; the broker's fence for settles. */
  get batchId(): number {
    return this.batch.facts.batchId;
  }

  /** False once it is settled or its lease is known to be lost; also when nothing is leased, with `acks: "auto"`. */
  get isHeld(): boolean {
    return this.batch.isHeld(this);
  }

  /**
   * True once the broker took it back, because an earlier message of its ordering key comes again: work on it is in vain, it
   * comes again too. Only with `maxInFlightPerLane` above 1.
   */
  get isRecalled(): boolean {
    return this.batch.isRecalled(this);
  }

  /** Done. Sent with all other settles of this turn; a failure shows as the event `settle_failed`. */
  ack(): void {
    this.batch.settle(this, ACK);
  }

  /**
   * Comes again later, as another attempt.
   *
   * @param delayMs not before so many milliseconds, up to 12 h; default: the subscriber's backoff
   * @param reason shown at the next delivery as `lastReason`, and in the dead letters; up to 1 KiB
   */
  retry(delayMs?: number, reason?: string): void {
    this.batch.settle(this, { kind: "retry", ...(delayMs !== undefined && { delayMs }), ...(reason !== undefined && { reason }) });
  }

  /**
   * Goes to the dead letters: no attempt can succeed.
   *
   * @param reason kept there; up to 1 KiB
   */
  reject(reason?: string): void {
    this.batch.settle(this, { kind: "reject", ...(reason !== undefined && { reason }) });
  }

  /** Goes back at once, for any client of this subscriber, and counts as no attempt. */
  release(): void {
    this.batch.settle(this, RELEASE);
  }

  /**
   * Settles and waits until the broker has it on disk. Rejects with LEASE_LOST, NOT_HELD or ALREADY_SETTLED when the verdict
   * did not hold, and with OUTCOME_UNKNOWN when the stream broke before the answer: then the message may come again.
   */
  settle(verdict: Verdict): Promise<void> {
    return this.batch.settleConfirmed(this, verdict);
  }
}

const ACK: Verdict = { kind: "ack" };
const RELEASE: Verdict = { kind: "release" };
