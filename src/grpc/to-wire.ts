import { Client, ClientKind, LeaveReason as WireLeaveReason } from "../../generated/tidemark/v1/client.js";
import type { WatchClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import { Durability as WireDurability } from "../../generated/tidemark/v1/message.js";
import type { MessageOutcome as WireOutcome, PublishResult } from "../../generated/tidemark/v1/publish.js";
import { Ordering as WireOrdering, Queue } from "../../generated/tidemark/v1/queue.js";
import {
  AckMode as WireAckMode,
  DeliveryCause as WireCause,
  SettleFailureCode as WireFailureCode,
  Sharing as WireSharing,
  StartPosition,
  WaitingFor as WireWaitingFor,
} from "../../generated/tidemark/v1/subscribe.js";
import type {
  DeliveryRange,
  FlowControl,
  SessionOpened as WireOpened,
  SettleFailure as WireFailure,
} from "../../generated/tidemark/v1/subscribe.js";
import { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import type { MessageOutcome, PublishOutcome, QueueInfo } from "../broker/api.js";
import type { ClientInfo, ClientNews } from "../broker/client-api.js";
import type { SessionOpened } from "../broker/session-opened.js";
import type { SubscriberInfo } from "../broker/subscriber-api.js";
import type { LeaveReason } from "../broker/session-end.js";
import type { Ordering } from "../broker/queue-settings.js";
import type { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { AckMode, DeliveryCause, DeliveryRun, FlowWindow, OffsetRun, SettleFailure, SessionKind, SettleFailureCode, Sharing, StartPoint, WaitingFor } from "../core/session.js";
import type { WallMs } from "../core/units.js";
import type { Durability } from "../ports/engine.js";
import { CAPABILITIES } from "./capabilities.js";
import { codeNumber } from "./status.js";
import { ownSubscriberSettings, queueSettings, settingsInEffect } from "./settings-to-wire.js";
import { duration, timestamp } from "./wire-numbers.js";

export const DURABILITIES: Readonly<Record<Durability, WireDurability>> = {
  FSYNC: WireDurability.FSYNC,
  QUORUM: WireDurability.QUORUM,
  MEMORY: WireDurability.MEMORY,
};

export const CAUSES: Readonly<Record<DeliveryCause, WireCause>> = {
  NEW: WireCause.NEW,
  RETRY: WireCause.RETRY,
  TIMEOUT: WireCause.TIMEOUT,
  DISCONNECT: WireCause.DISCONNECT,
  RELEASED: WireCause.RELEASED,
  SEEK: WireCause.SEEK,
};

export const WAITING_FOR: Readonly<Record<WaitingFor, WireWaitingFor>> = {
  NOTHING_NEW: WireWaitingFor.NOTHING_NEW,
  FLOW: WireWaitingFor.FLOW,
  LANE: WireWaitingFor.LANE,
  RETRY_DELAY: WireWaitingFor.RETRY_DELAY,
  PAUSED: WireWaitingFor.PAUSED,
  STANDBY: WireWaitingFor.STANDBY,
  UNSETTLED_LIMIT: WireWaitingFor.UNSETTLED_LIMIT,
};

const FAILURE_CODES: Readonly<Record<SettleFailureCode, WireFailureCode>> = {
  LEASE_LOST: WireFailureCode.LEASE_LOST,
  NOT_HELD: WireFailureCode.NOT_HELD,
  ALREADY_SETTLED: WireFailureCode.ALREADY_SETTLED,
};

const ACK_MODES: Readonly<Record<AckMode, WireAckMode>> = { EXPLICIT: WireAckMode.EXPLICIT, AUTO: WireAckMode.AUTO };

const CLIENT_KINDS: Readonly<Record<SessionKind, ClientKind>> = { STREAM: ClientKind.STREAM, PULL: ClientKind.PULL };

const LEAVE_REASONS: Readonly<Record<LeaveReason, WireLeaveReason>> = {
  HALF_CLOSED: WireLeaveReason.HALF_CLOSED,
  DRAINED: WireLeaveReason.DRAINED,
  STOP_REACHED: WireLeaveReason.STOP_REACHED,
  CANCELLED: WireLeaveReason.CANCELLED,
  CONNECTION_LOST: WireLeaveReason.CONNECTION_LOST,
  CLIENT_TIMEOUT: WireLeaveReason.CLIENT_TIMEOUT,
  DISCONNECTED: WireLeaveReason.DISCONNECTED,
  REPLACED: WireLeaveReason.REPLACED,
  QUEUE_DELETED: WireLeaveReason.QUEUE_DELETED,
  SUBSCRIBER_DELETED: WireLeaveReason.SUBSCRIBER_DELETED,
  SERVER_STOPPING: WireLeaveReason.SERVER_STOPPING,
  LEASES_OVER: WireLeaveReason.LEASES_OVER,
  CLIENT_ERROR: WireLeaveReason.CLIENT_ERROR,
  SERVER_ERROR: WireLeaveReason.SERVER_ERROR,
};

const SHARINGS: Readonly<Record<Sharing, WireSharing>> = { SHARED: WireSharing.SHARED, EXCLUSIVE: WireSharing.EXCLUSIVE };

const ORDERINGS: Readonly<Record<Ordering, WireOrdering>> = { UNORDERED: WireOrdering.UNORDERED, ORDERED: WireOrdering.ORDERED };

/** The result of one frame of a PublishStream. */
export function publishResult(requestId: bigint, outcome: PublishOutcome): PublishResult {
  if (!outcome.ok) return failedResult(requestId, outcome.error);
  return {
    requestId,
    firstOffset: BigInt(outcome.firstOffset),
    duplicate: outcome.duplicate,
    code: 0,
    reason: "",
    detail: "",
    retryAfter: undefined,
    publishTime: outcome.publishTimeMs === 0 ? undefined : timestamp(outcome.publishTimeMs),
    unmatchedCount: outcome.unmatchedCount,
    outcomes: outcome.outcomes.map(messageOutcome),
  };
}

function failedResult(requestId: bigint, error: BrokerError): PublishResult {
  return {
    requestId,
    firstOffset: 0n,
    duplicate: false,
    code: codeNumber(error.status),
    reason: error.reason,
    detail: error.message,
    retryAfter: error.retryAfterMs === undefined ? undefined : duration(error.retryAfterMs),
    publishTime: undefined,
    unmatchedCount: 0,
    outcomes: [],
  };
}

function messageOutcome(outcome: MessageOutcome): WireOutcome {
  const { error } = outcome;
  return {
    index: outcome.index,
    offset: BigInt(outcome.offset),
    duplicate: outcome.duplicate,
    code: error === undefined ? 0 : codeNumber(error.status),
    reason: error?.reason ?? "",
    detail: error?.message ?? "",
  };
}

/** The first frame of a session. */
export function sessionOpened(facts: SessionOpened): WireOpened {
  return {
    sessionId: facts.sessionId,
    queueId: facts.queueId,
    committedOffset: BigInt(facts.committedOffset),
    headOffset: BigInt(facts.headOffset),
    backlogCount: BigInt(facts.backlogCount),
    deadLetterCount: BigInt(facts.deadLetterCount),
    ordered: facts.ordered,
    ackTimeout: duration(facts.ackTimeoutMs),
    heartbeat: duration(facts.heartbeatMs),
    flow: flowControl(facts.flow),
    events: [...facts.events],
    maxAttempts: facts.maxAttempts,
    created: facts.created,
    standby: facts.standby,
    capabilities: [...CAPABILITIES],
    maxMessageBytes: BigInt(LIMITS.messageBytesMax),
    maxUnsettledCount: BigInt(facts.maxUnsettled),
  };
}

export function settleFailure(failure: SettleFailure): WireFailure {
  return { requestId: failure.requestId, range: deliveryRange(failure.range), code: FAILURE_CODES[failure.code] };
}

/** `batchId` 0 when the run is of offsets alone. */
export function deliveryRange(run: OffsetRun | DeliveryRun): DeliveryRange {
  return { first: BigInt(run.first), last: BigInt(run.last), batchId: "batchId" in run ? BigInt(run.batchId) : 0n };
}

function flowControl(flow: FlowWindow): FlowControl {
  return { maxMessages: flow.maxMessages, maxBytes: BigInt(flow.maxBytes), paused: flow.paused };
}

export function queueResource(info: QueueInfo, durability: Durability): Queue {
  return Queue.fromPartial({
    name: info.name,
    queueId: info.queueId,
    ordering: ORDERINGS[info.ordering],
    createTime: timestamp(info.createTimeMs),
    headOffset: BigInt(info.headOffset),
    firstOffset: BigInt(info.firstOffset),
    messageCount: BigInt(info.messageCount),
    bytes: BigInt(info.bytes),
    subscriberCount: info.subscriberCount,
    clientCount: info.clientCount,
    scheduledCount: BigInt(info.scheduledCount),
    deadLetterCount: BigInt(info.deadLetterCount),
    lastPublishTime: optionalTime(info.lastPublishTimeMs),
    durability: DURABILITIES[durability],
    ...queueSettings(info.own),
  });
}

export function subscriberResource(info: SubscriberInfo): Subscriber {
  return Subscriber.fromPartial({
    queue: info.queue,
    name: info.name,
    events: [...info.events],
    settings: ownSubscriberSettings(info.own),
    start: startPoint(info.start),
    paused: info.pause !== undefined,
    resumeTime: optionalTime(info.pause?.resumeTimeMs),
    effectiveSettings: settingsInEffect(info.settings),
    createTime: timestamp(info.createTimeMs),
    committedOffset: BigInt(info.committedOffset),
    backlogCount: BigInt(info.backlogCount),
    inFlightCount: BigInt(info.inFlightCount),
    waitingRetryCount: BigInt(info.waitingRetryCount),
    deadLetterCount: BigInt(info.deadLetterCount),
    clientCount: info.clientCount,
    oldestUnsettledTime: optionalTime(info.oldestUnsettledTimeMs),
    lastClientTime: optionalTime(info.lastClientTimeMs),
    expireTime: optionalTime(info.expireTimeMs),
    expiredCount: BigInt(info.expiredCount),
    blockedLaneCount: info.blockedLaneCount,
    droppedCount: BigInt(info.droppedCount),
  });
}

function optionalTime(time: WallMs | undefined): ReturnType<typeof timestamp> | undefined {
  return time === undefined ? undefined : timestamp(time);
}

function startPoint(start: StartPoint): Subscriber["start"] {
  if (start.kind === "after_offset") return { $case: "startAfterOffset", value: BigInt(start.offset) };
  if (start.kind === "from_time") return { $case: "startFromTime", value: timestamp(start.timeMs) };
  return { $case: "startAt", value: start.kind === "earliest" ? StartPosition.EARLIEST : StartPosition.LATEST };
}

export function clientResource(info: ClientInfo): Client {
  return Client.fromPartial({
    sessionId: info.sessionId,
    clientId: info.clientId,
    peer: info.peer,
    queue: info.queue,
    subscriber: info.subscriber,
    events: [...info.events],
    flow: flowControl(info.flow),
    inFlightCount: BigInt(info.inFlightCount),
    connectTime: timestamp(info.connectTimeMs),
    labels: Object.fromEntries(info.labels),
    kind: CLIENT_KINDS[info.kind],
    ackMode: ACK_MODES[info.ackMode],
    sharing: SHARINGS[info.sharing],
    standby: info.standby,
    draining: info.draining,
    inFlightBytes: BigInt(info.inFlightBytes),
    backlogCount: BigInt(info.backlogCount),
    waitingFor: info.waitingFor === undefined ? WireWaitingFor.UNSPECIFIED : WAITING_FOR[info.waitingFor],
    lastFrameTime: timestamp(info.lastFrameTimeMs),
    userAgent: info.userAgent,
  });
}

/** One thing that a watch of clients tells. */
export function clientChange(news: Exclude<ClientNews, { readonly type: "over" }>): NonNullable<WatchClientsResponse["change"]> {
  switch (news.type) {
    case "listed":
      return { $case: "listed", value: { clientCount: news.count } };
    case "left":
      return {
        $case: "left",
        value: { client: clientResource(news.client), reason: LEAVE_REASONS[news.reason], detail: news.detail, leaveTime: timestamp(news.leaveTimeMs) },
      };
    default:
      return { $case: news.type, value: { client: clientResource(news.client) } };
  }
}
