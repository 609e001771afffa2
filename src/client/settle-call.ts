import type { SettleResponse } from "../../generated/tidemark/v1/pull.js";
import { Settlement, type SettleResult } from "../../generated/tidemark/v1/subscribe.js";
import type { DeliveryRange } from "../../generated/tidemark/v1/subscribe.js";
import type { Connection } from "./connection.js";
import { safeNumber } from "./safe-number.js";
import { settleFailed } from "./settle-waiters.js";
import { isPassing, TidemarkError } from "./tidemark-error.js";
import { unaryCall } from "./unary-call.js";
import { durationFromMs } from "./wire-time.js";

/** A run of deliveries of one session, both ends included. */
export interface DeliveryRun {
  readonly first: number;
  readonly last: number;
  /** The batch that brought them. Default: whichever did last. */
  readonly batchId?: number;
}

/** Verdicts by offsets, on what a session holds. They apply in this order, and the first one on a message wins. */
export interface Verdicts {
  readonly acks?: readonly DeliveryRun[];
  /** Not before `delayMs`; default: the subscriber's backoff. */
  readonly retries?: readonly (DeliveryRun & { readonly delayMs?: number; readonly reason?: string })[];
  readonly rejects?: readonly (DeliveryRun & { readonly reason?: string })[];
  readonly releases?: readonly DeliveryRun[];
  /** Leased for `leaseMs` from now; default: the session's ack timeout. */
  readonly extends?: readonly (DeliveryRun & { readonly leaseMs?: number })[];
}

/** What became of verdicts, durably. */
export interface SettledVerdicts {
  /** Everything up to it is settled or filtered out for the subscriber. */
  readonly committedOffset: number;
  /** What did not hold, each with an error that says why: LEASE_LOST, NOT_HELD or ALREADY_SETTLED. */
  readonly failures: readonly { readonly firstOffset: number; readonly lastOffset: number; readonly error: TidemarkError }[];
}

/** Gives verdicts on deliveries of a session by a call of its own, and waits until they are durable. */
export async function settleVerdicts(connection: Connection, patienceMs: number, sessionId: string, verdicts: Verdicts): Promise<SettledVerdicts> {
  const { failures, committedOffset } = await settleCall(connection, patienceMs, sessionId, settlementOf(verdicts));
  return {
    committedOffset: safeNumber(committedOffset, "committed_offset"),
    failures: failures.map(({ range, code }) => {
      const firstOffset = safeNumber(range?.first ?? 0n, "first");
      return { firstOffset, lastOffset: Math.max(firstOffset, safeNumber(range?.last ?? 0n, "last")), error: settleFailed(firstOffset, code) };
    }),
  };
}

/** Repeats a call that broke on its way, once there is a connection again: the same verdicts again do no harm. */
export async function settleCall(connection: Connection, patienceMs: number, sessionId: string, settle: Settlement): Promise<SettleResult> {
  const call = (): Promise<SettleResponse> => unaryCall(connection, patienceMs, (callback) => connection.broker.settle({ sessionId, settle }, callback));
  const { result } = await call().catch((error: unknown) => {
    if (error instanceof TidemarkError && error.reason === "" && isPassing(error)) return call();
    throw error;
  });
  if (result === undefined) throw new TidemarkError("INTERNAL", "", "the broker's answer to a settle is empty");
  return result;
}

function settlementOf({ acks = [], retries = [], rejects = [], releases = [], extends: extended = [] }: Verdicts): Settlement {
  return {
    ...Settlement.create(),
    acks: acks.map(rangeOf),
    retries: retries.map(({ delayMs, reason = "", ...run }) => ({ range: rangeOf(run), delay: delayMs === undefined ? undefined : durationFromMs(delayMs), reason })),
    rejects: rejects.map(({ reason = "", ...run }) => ({ range: rangeOf(run), reason })),
    releases: releases.map(rangeOf),
    extends: extended.map(({ leaseMs, ...run }) => ({ range: rangeOf(run), lease: leaseMs === undefined ? undefined : durationFromMs(leaseMs) })),
  };
}

function rangeOf({ first, last, batchId = 0 }: DeliveryRun): DeliveryRange {
  return { first: BigInt(first), last: BigInt(last), batchId: BigInt(batchId) };
}
