import { type Gap, type Heartbeat, type Notice, type SessionOpened, WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { enumName } from "./enum-name.js";
import { safeNumber } from "./safe-number.js";
import type { SubscriptionEvent } from "./subscribe-options.js";
import { durationToMs } from "./wire-time.js";

/** What the frames that are no deliveries mean to the application. */
export function openedEvent(frame: SessionOpened): SubscriptionEvent {
  return {
    type: "opened",
    sessionId: frame.sessionId,
    queueId: frame.queueId,
    standby: frame.standby,
    created: frame.created,
    committedOffset: safeNumber(frame.committedOffset, "committed_offset"),
    headOffset: safeNumber(frame.headOffset, "head_offset"),
    backlogCount: safeNumber(frame.backlogCount, "backlog_count"),
    ackTimeoutMs: frame.ackTimeout === undefined ? 0 : durationToMs(frame.ackTimeout),
  };
}

export function heartbeatEvent(frame: Heartbeat): SubscriptionEvent {
  return {
    type: "heartbeat",
    headOffset: safeNumber(frame.headOffset, "head_offset"),
    committedOffset: safeNumber(frame.committedOffset, "committed_offset"),
    backlogCount: safeNumber(frame.backlogCount, "backlog_count"),
    deadLetterCount: safeNumber(frame.deadLetterCount, "dead_letter_count"),
    waitingFor: enumName(WaitingFor, frame.waitingFor),
  };
}

export function gapEvent(frame: Gap): SubscriptionEvent {
  return {
    type: "gap",
    firstOffset: safeNumber(frame.firstOffset, "first_offset"),
    lastOffset: safeNumber(frame.lastOffset, "last_offset"),
    matchingCount: safeNumber(frame.matchingCount, "matching_count"),
  };
}

export function noticeEvent(frame: Notice): SubscriptionEvent {
  return { type: "notice", reason: frame.reason, detail: frame.detail };
}
