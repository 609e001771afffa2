import { type DeliveryRange, type SettleFailure, SettleFailureCode } from "../../generated/tidemark/v1/subscribe.js";
import { enumName } from "./enum-name.js";
import { TidemarkError } from "./tidemark-error.js";

interface Waiter {
  readonly batchId: number;
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (error: TidemarkError) => void;
}

/** Who waits for the broker to confirm a settle, by the request that it went out with. */
export class SettleWaiters {
  private readonly byRequest = new Map<bigint, Waiter[]>();
  private open: Waiter[] = [];
  private lastRequestId = 0n;

  /** Waits for the next request to be sealed. */
  add(batchId: number, offset: number): Promise<void> {
    return new Promise((resolve, reject) => this.open.push({ batchId, offset, resolve, reject }));
  }

  /**
   * The id for the frame about to be sent; 0 if nobody waits for it, so that the broker need not hurry, unless `confirm` asks
   * for an answer all the same.
   */
  sealRequest(confirm: boolean): bigint {
    if (this.open.length === 0 && !confirm) return 0n;
    const requestId = ++this.lastRequestId;
    this.byRequest.set(requestId, this.open);
    this.open = [];
    return requestId;
  }

  /** Rejects those that a failure concerns. False if it concerns nobody here. */
  fail(failure: SettleFailure): boolean {
    const waiters = this.byRequest.get(failure.requestId);
    const { range } = failure;
    if (waiters === undefined || range === undefined) return false;
    const concerned = waiters.filter((waiter) => rangeHolds(range, waiter.batchId, waiter.offset));
    for (const waiter of concerned) waiter.reject(settleFailed(waiter.offset, failure.code));
    this.byRequest.set(
      failure.requestId,
      waiters.filter((waiter) => !concerned.includes(waiter)),
    );
    return concerned.length > 0;
  }

  /** These requests are on disk. */
  confirm(requestIds: readonly bigint[]): void {
    for (const requestId of requestIds) {
      for (const waiter of this.byRequest.get(requestId) ?? []) waiter.resolve();
      this.byRequest.delete(requestId);
    }
  }

  failAll(error: TidemarkError): void {
    for (const waiters of [this.open, ...this.byRequest.values()]) {
      for (const waiter of waiters) waiter.reject(error);
    }
    this.open = [];
    this.byRequest.clear();
  }
}

/** Whether a range names this delivery. `last` 0 is a range of one, `batch_id` 0 any batch. */
export function rangeHolds(range: DeliveryRange, batchId: number, offset: number): boolean {
  const last = range.last === 0n ? range.first : range.last;
  return (range.batchId === 0n || range.batchId === BigInt(batchId)) && range.first <= BigInt(offset) && BigInt(offset) <= last;
}

const WORDS: Readonly<Record<string, string>> = {
  LEASE_LOST: "is not this session's any more: its lease ran out, its stream broke, or it was recalled, and the message comes again",
  NOT_HELD: "was never delivered to this session",
  ALREADY_SETTLED: "was settled before with another verdict",
};

/** A verdict that did not hold, as the broker's code or the client's own finding says. */
export function settleFailed(offset: number, code: SettleFailureCode | "LEASE_LOST"): TidemarkError {
  const reason = typeof code === "string" ? code : enumName(SettleFailureCode, code);
  return notHeld(offset, WORDS[reason] ?? "could not be settled", reason);
}

/** A verdict on what this session does not hold. */
export function notHeld(offset: number, words: string, reason = "NOT_HELD"): TidemarkError {
  return new TidemarkError("FAILED_PRECONDITION", reason, `the delivery of offset ${offset} ${words}`, { offset: String(offset) });
}
