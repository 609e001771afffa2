import type { DeleteDeadLettersRequest, ReplayDeadLettersRequest } from "../../generated/tidemark/v1/admin_service.js";
import { DeadLetterFilter as WireFilter, DeadLetterReason as WireReason } from "../../generated/tidemark/v1/dead_letter.js";
import type { DeadLetter } from "../../generated/tidemark/v1/dead_letter.js";
import { Message } from "../../generated/tidemark/v1/message.js";
import { enumName } from "./enum-name.js";
import { safeNumber } from "./safe-number.js";
import { type StoredMessage, storedMessage } from "./stored-message.js";
import { dateToTimestamp, timestampToDate } from "./wire-time.js";

/** Why messages become dead letters. */
export type DeadLetterReason = "REJECTED" | "MAX_ATTEMPTS" | "MAX_DELIVERIES" | "EXPIRED";

/** Which dead letters: those to which everything that is said applies. Empty: all. */
export interface DeadLetterFilter {
  /** Runs of offsets, both ends included; at most 1,000. */
  readonly offsets?: readonly { readonly first: number; readonly last: number }[];
  /** Event filters. */
  readonly events?: readonly string[];
  readonly reasons?: readonly DeadLetterReason[];
  /** Those that became one at this time or later. */
  readonly afterTime?: Date;
  /** Those that became one before this time. */
  readonly beforeTime?: Date;
  /** Leaves payloads out, which are then empty; `payloadBytes` says how large they are. Default: false. */
  readonly omitPayload?: boolean;
}

/** Which dead letters to replay or to delete. */
export interface DeadLetterChoice extends Omit<DeadLetterFilter, "omitPayload"> {
  /** At most this many, by growing offset. Default: no bound. */
  readonly limit?: number;
  /** Only count, and change nothing. Default: false. */
  readonly dryRun?: boolean;
}

/** What became of dead letters that were to be replayed, or would become of them. */
export interface ReplayedLetters {
  readonly replayedCount: number;
  /** How many more the filter takes, beyond the limit. */
  readonly remainingCount: number;
  /** Where the first and the last copy are; 0: there is none. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** What became of dead letters that were to be deleted, or would become of them. */
export interface DeletedLetters {
  readonly deletedCount: number;
  /** How many more the filter takes, beyond the limit. */
  readonly remainingCount: number;
}

/** A message that a subscriber gave up. */
export interface DeadLetterInfo {
  readonly queue: string;
  readonly subscriber: string;
  readonly message: StoredMessage;
  /** A `DeadLetterReason`; "UNRECOGNIZED" for one that is newer than this client. */
  readonly reason: string;
  /** Why, in the consumer's words; empty when it gave none. */
  readonly detail: string;
  /** Attempts made: 1 + retries before this verdict. */
  readonly attempts: number;
  /** 1 + hand-outs that ended without a verdict. */
  readonly deliveries: number;
  /** The session that held it last; empty: none did. */
  readonly holderSessionId: string;
  /** The label of the client that held it last. */
  readonly holderClientId: string;
  /** When it became one. Undefined if the broker did not say. */
  readonly deadLetterTime: Date | undefined;
  readonly payloadBytes: number;
}

export function deadLetterInfo(letter: DeadLetter): DeadLetterInfo {
  const { queue, subscriber, detail, attempts, deliveries, holderSessionId, holderClientId, deadLetterTime } = letter;
  return {
    queue,
    subscriber,
    message: storedMessage(letter.message ?? Message.create()),
    reason: enumName(WireReason, letter.reason),
    detail,
    attempts,
    deliveries,
    holderSessionId,
    holderClientId,
    deadLetterTime: deadLetterTime === undefined ? undefined : timestampToDate(deadLetterTime),
    payloadBytes: safeNumber(letter.payloadBytes, "payload_bytes"),
  };
}

/** A choice as it goes out. */
export function wireChoice(queue: string, subscriber: string, { limit = 0, dryRun = false, ...filter }: DeadLetterChoice): ReplayDeadLettersRequest & DeleteDeadLettersRequest {
  return { queue, subscriber, filter: wireFilter(filter), limit, dryRun };
}

/** A filter as it goes out. */
export function wireFilter({ offsets = [], events = [], reasons = [], afterTime, beforeTime }: DeadLetterFilter): WireFilter {
  return WireFilter.fromPartial({
    offsets: offsets.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) })),
    events: [...events],
    reasons: reasons.map((reason) => WireReason[reason]),
    ...(afterTime !== undefined && { afterTime: dateToTimestamp(afterTime) }),
    ...(beforeTime !== undefined && { beforeTime: dateToTimestamp(beforeTime) }),
  });
}
