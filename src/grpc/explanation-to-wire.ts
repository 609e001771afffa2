import { DeadLetterReason as WireDeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { ExplainReason as WireReason, MessageExplanation as WireMessage } from "../../generated/tidemark/v1/explanation.js";
import type { ClientExplanation, Holder as WireHolder, LaneBlock as WireLaneBlock, WindowUse as WireWindowUse , SubscriberExplanation as WireSubscriber } from "../../generated/tidemark/v1/explanation.js";
import { WaitingFor as WireWaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import type { MessageExplanation, SessionExplanation, SubscriberExplanation } from "../broker/explanation-api.js";
import type { ExplainReason, WindowUse } from "../core/explanation.js";
import { WAITING_FOR } from "./to-wire.js";
import { duration, timestamp } from "./wire-numbers.js";

const REASONS: Readonly<Record<ExplainReason, WireReason>> = {
  NOT_YET_STORED: WireReason.NOT_YET_STORED,
  NO_MESSAGE: WireReason.NO_MESSAGE,
  FILTERED: WireReason.FILTERED,
  ADDRESSED_ELSEWHERE: WireReason.ADDRESSED_ELSEWHERE,
  BEFORE_START: WireReason.BEFORE_START,
  SETTLED: WireReason.SETTLED,
  DEAD_LETTERED: WireReason.DEAD_LETTERED,
  DROPPED_BY_RETENTION: WireReason.DROPPED_BY_RETENTION,
  PURGED: WireReason.PURGED,
  CORRUPT: WireReason.CORRUPT,
  IN_FLIGHT: WireReason.IN_FLIGHT,
  ACK_PENDING: WireReason.ACK_PENDING,
  WAITING_FOR_RETRY: WireReason.WAITING_FOR_RETRY,
  LANE_BLOCKED: WireReason.LANE_BLOCKED,
  UNSETTLED_LIMIT: WireReason.UNSETTLED_LIMIT,
  WINDOW_FULL: WireReason.WINDOW_FULL,
  SUBSCRIBER_PAUSED: WireReason.SUBSCRIBER_PAUSED,
  CLIENTS_PAUSED: WireReason.CLIENTS_PAUSED,
  NO_CLIENT: WireReason.NO_CLIENT,
  BEHIND_BACKLOG: WireReason.BEHIND_BACKLOG,
  EXPIRED: WireReason.EXPIRED,
  NOTHING_NEW: WireReason.NOTHING_NEW,
  DELIVERING: WireReason.DELIVERING,
};

const DEAD_LETTER_REASONS: Readonly<Record<string, WireDeadLetterReason>> = {
  REJECTED: WireDeadLetterReason.REJECTED,
  MAX_ATTEMPTS: WireDeadLetterReason.MAX_ATTEMPTS,
  MAX_DELIVERIES: WireDeadLetterReason.MAX_DELIVERIES,
};

/** Where one message stands with one subscriber. */
export function messageExplanation(told: MessageExplanation): WireMessage {
  const { retryTimeMs, settleTimeMs, expireTimeMs, resumeTimeMs } = told;
  return {
    ...WireMessage.create(),
    subscriber: told.subscriber,
    reason: REASONS[told.reason],
    sentence: told.sentence,
    attempt: told.attempt ?? 0,
    deliveryCount: told.deliveryCount ?? 0,
    lastReason: told.lastReason ?? "",
    holder: holder(told),
    retryTime: retryTimeMs === undefined ? undefined : timestamp(retryTimeMs),
    lane: laneBlock(told),
    window: told.window === undefined ? undefined : windowUse(told.window),
    events: [...(told.events ?? [])],
    expireTime: expireTimeMs === undefined ? undefined : timestamp(expireTimeMs),
    settleTime: settleTimeMs === undefined ? undefined : timestamp(settleTimeMs),
    resumeTime: resumeTimeMs === undefined ? undefined : timestamp(resumeTimeMs),
    aheadCount: BigInt(told.aheadCount ?? 0),
    headOffset: BigInt(told.headOffset ?? 0),
    firstOffset: BigInt(told.firstOffset ?? 0),
    deadLetterReason: DEAD_LETTER_REASONS[told.deadLetterReason ?? ""] ?? WireDeadLetterReason.UNSPECIFIED,
  };
}

/** What a subscriber is waiting for. */
export function subscriberExplanation(told: SubscriberExplanation): WireSubscriber {
  return {
    reasons: told.reasons.map((reason) => REASONS[reason]),
    sentence: told.sentence,
    clients: told.sessions.map(clientExplanation),
    committedOffset: BigInt(told.committedOffset),
    headOffset: BigInt(told.headOffset),
    backlogCount: BigInt(told.backlogCount),
    oldest: told.oldest === undefined ? undefined : messageExplanation(told.oldest.explanation),
    oldestUnsettledOffset: BigInt(told.oldest?.offset ?? 0),
    unsettled: windowUse(told.unsettled),
  };
}

function clientExplanation({ session, clientId, waitingFor, window, sentence }: SessionExplanation): ClientExplanation {
  return { sessionId: session, clientId, waitingFor: waitingFor === undefined ? WireWaitingFor.UNSPECIFIED : WAITING_FOR[waitingFor], window: windowUse(window), sentence };
}

function holder({ holder: who, holderPeer = "" }: MessageExplanation): WireHolder | undefined {
  if (who === undefined) return undefined;
  return {
    ...{ sessionId: who.session, clientId: who.clientId, peer: holderPeer, batchId: BigInt(who.batchId) },
    deliveryTime: timestamp(who.deliveryTimeMs),
    leaseLeft: who.leaseLeftMs === undefined ? undefined : duration(who.leaseLeftMs),
  };
}

function laneBlock({ lane, orderingKey = "" }: MessageExplanation): WireLaneBlock | undefined {
  if (lane === undefined) return undefined;
  return { orderingKey, blockingOffset: BigInt(lane.blockingOffset), blockingReason: REASONS[lane.blockingReason], blockedByPoison: lane.blockedByPoison };
}

function windowUse({ messagesUsed, messagesAllowed, bytesUsed, bytesAllowed }: WindowUse): WireWindowUse {
  return { messagesUsed: BigInt(messagesUsed), messagesAllowed: BigInt(messagesAllowed), bytesUsed: BigInt(bytesUsed), bytesAllowed: BigInt(bytesAllowed) };
}
