import { DeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { ExplainReason as WireReason, type MessageExplanation as WireMessage, type SubscriberExplanation as WireSubscriber, type WindowUse as WireWindow } from "../../generated/tidemark/v1/explanation.js";
import { WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { enumName } from "./enum-name.js";
import { safeNumber } from "./safe-number.js";
import { durationToMs, timestampToDate } from "./wire-time.js";

/** What is used of a bound; bytes are 0 where they are not bounded. */
export interface WindowUse {
  readonly messagesUsed: number;
  readonly messagesAllowed: number;
  readonly bytesUsed: number;
  readonly bytesAllowed: number;
}

/** Where a message stands with one subscriber. What the reason does not speak of is undefined. */
export interface MessageExplanation {
  readonly subscriber: string;
  /** An ExplainReason of the contract without its prefix, such as "IN_FLIGHT"; "UNRECOGNIZED" for what is newer than this client. */
  readonly reason: string;
  /** The same with its facts, for people. Never parse it. */
  readonly sentence: string;
  /** Of the present or next attempt. */
  readonly attempt: number | undefined;
  /** Of the present or next hand-out. */
  readonly deliveryCount: number | undefined;
  /** Why the last attempt ended, in the consumer's words; may be empty. */
  readonly lastReason: string;
  /** Who has it. */
  readonly holder:
    | { readonly sessionId: string; readonly clientId: string; readonly peer: string; readonly batchId: number; readonly deliveryTime: Date | undefined; readonly leaseLeftMs: number | undefined }
    | undefined;
  /** When the wait for the retry is over. */
  readonly retryTime: Date | undefined;
  /** What its lane stands still for. */
  readonly lane: { readonly orderingKey: string; readonly blockingOffset: number; readonly blockingReason: string; readonly blockedByPoison: boolean } | undefined;
  /** The bound that is reached. */
  readonly window: WindowUse | undefined;
  /** The filter that does not take it. */
  readonly events: readonly string[];
  /** When it became a dead letter. */
  readonly settleTime: Date | undefined;
  /** When it expires, or has expired. */
  readonly expireTime: Date | undefined;
  /** When the pause ends by itself. */
  readonly resumeTime: Date | undefined;
  /** Matching messages that come before it. */
  readonly aheadCount: number | undefined;
  /** A DeadLetterReason without its prefix. */
  readonly deadLetterReason: string | undefined;
}

/** What a subscriber is waiting for. */
export interface SubscriberExplanation {
  /** Everything that applies, as of `MessageExplanation.reason`; first what to look at first. */
  readonly reasons: readonly string[];
  /** The same with its facts, for people. Never parse it. */
  readonly sentence: string;
  /** Its sessions, at most 100. `waitingFor` is "UNSPECIFIED" while something is on its way. */
  readonly clients: readonly { readonly sessionId: string; readonly clientId: string; readonly waitingFor: string; readonly window: WindowUse; readonly sentence: string }[];
  readonly committedOffset: number;
  readonly headOffset: number;
  readonly backlogCount: number;
  /** Its oldest unsettled message; undefined: it has none. */
  readonly oldest: { readonly offset: number; readonly explanation: MessageExplanation } | undefined;
  /** What is used of its max_unsettled. */
  readonly unsettled: WindowUse;
}

export function messageExplanation(wire: WireMessage): MessageExplanation {
  const { holder, lane, window } = wire;
  return {
    subscriber: wire.subscriber,
    reason: enumName(WireReason, wire.reason),
    sentence: wire.sentence,
    attempt: orUndefined(wire.attempt),
    deliveryCount: orUndefined(wire.deliveryCount),
    lastReason: wire.lastReason,
    holder: holder && {
      ...{ sessionId: holder.sessionId, clientId: holder.clientId, peer: holder.peer, batchId: safeNumber(holder.batchId, "batch_id") },
      deliveryTime: optionalDate(holder.deliveryTime),
      leaseLeftMs: holder.leaseLeft === undefined ? undefined : durationToMs(holder.leaseLeft),
    },
    retryTime: optionalDate(wire.retryTime),
    lane: lane && {
      ...{ orderingKey: lane.orderingKey, blockedByPoison: lane.blockedByPoison },
      blockingOffset: safeNumber(lane.blockingOffset, "blocking_offset"),
      blockingReason: enumName(WireReason, lane.blockingReason),
    },
    window: window && windowUse(window),
    events: wire.events,
    settleTime: optionalDate(wire.settleTime),
    expireTime: optionalDate(wire.expireTime),
    resumeTime: optionalDate(wire.resumeTime),
    aheadCount: orUndefined(safeNumber(wire.aheadCount, "ahead_count")),
    deadLetterReason: wire.deadLetterReason === DeadLetterReason.UNSPECIFIED ? undefined : enumName(DeadLetterReason, wire.deadLetterReason),
  };
}

export function subscriberExplanation(wire: WireSubscriber): SubscriberExplanation {
  const { oldest } = wire;
  return {
    reasons: wire.reasons.map((reason) => enumName(WireReason, reason)),
    sentence: wire.sentence,
    clients: wire.clients.map(({ sessionId, clientId, waitingFor, window, sentence }) => ({ sessionId, clientId, waitingFor: enumName(WaitingFor, waitingFor), window: windowUse(window), sentence })),
    committedOffset: safeNumber(wire.committedOffset, "committed_offset"),
    headOffset: safeNumber(wire.headOffset, "head_offset"),
    backlogCount: safeNumber(wire.backlogCount, "backlog_count"),
    oldest: oldest && { offset: safeNumber(wire.oldestUnsettledOffset, "oldest_unsettled_offset"), explanation: messageExplanation(oldest) },
    unsettled: windowUse(wire.unsettled),
  };
}

function windowUse(wire: WireWindow | undefined): WindowUse {
  return {
    messagesUsed: safeNumber(wire?.messagesUsed ?? 0n, "messages_used"),
    messagesAllowed: safeNumber(wire?.messagesAllowed ?? 0n, "messages_allowed"),
    bytesUsed: safeNumber(wire?.bytesUsed ?? 0n, "bytes_used"),
    bytesAllowed: safeNumber(wire?.bytesAllowed ?? 0n, "bytes_allowed"),
  };
}

/** 0 says nothing here. */
function orUndefined(value: number): number | undefined {
  return value === 0 ? undefined : value;
}

function optionalDate(time: WireMessage["retryTime"]): Date | undefined {
  return time === undefined ? undefined : timestampToDate(time);
}
