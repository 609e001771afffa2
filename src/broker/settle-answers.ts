import type { BrokerError } from "../core/errors.js";
import type { SettleFailure, Settlement } from "../core/session.js";
import { offset, OFFSET_MAX } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { SettleAnswer } from "./pull-api.js";

/** Gives back whatever a session holds. */
export const RELEASE_ALL: Settlement = {
  acks: [],
  ackThroughBatchId: 0,
  retries: [],
  rejects: [],
  releases: [{ first: offset(1), last: OFFSET_MAX, batchId: 0 }],
  extends: [],
  extendAllMs: undefined,
};

interface Waiting {
  readonly resolve: (answer: SettleAnswer) => void;
  readonly reject: (error: BrokerError) => void;
}

/**
 * The answers of one session that are not for its stream: to verdicts that came without it, and to those of the broker itself, which
 * are for nobody. Their request ids are below 0, which no client can send.
 */
export class SettleAnswers {
  private readonly waiting = new Map<bigint, Waiting>();
  private lastId = 0n;

  /** Nothing but the stream's own was ever asked. */
  get areUnused(): boolean {
    return this.lastId === 0n;
  }

  get anyOwed(): boolean {
    return this.waiting.size > 0;
  }

  /** A settle whose answer is for nobody. */
  forNobody(): bigint {
    return --this.lastId;
  }

  /** A settle whose answer is waited for. */
  ask(): { readonly requestId: bigint; readonly answer: Promise<SettleAnswer> } {
    const requestId = --this.lastId;
    const answer = new Promise<SettleAnswer>((resolve, reject) => {
      this.waiting.set(requestId, { resolve, reject });
    });
    return { requestId, answer };
  }

  /** Verdicts are durable: gives who waits here their answers, and says what is left for the stream. */
  sift(requestIds: readonly bigint[], failures: readonly SettleFailure[], committedOffset: Offset): { readonly ids: readonly bigint[]; readonly failed: readonly SettleFailure[] } {
    for (const id of requestIds) {
      const waiting = this.waiting.get(id);
      if (waiting === undefined) continue;
      this.waiting.delete(id);
      waiting.resolve({ failures: failures.filter(({ requestId }) => requestId === id), committedOffset });
    }
    return { ids: requestIds.filter((id) => id >= 0n), failed: failures.filter(({ requestId }) => requestId >= 0n) };
  }

  /** The session is over: nobody will hear whether what they settled is durable. */
  fail(error: BrokerError): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
