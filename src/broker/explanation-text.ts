import type { ExplainReason, SessionStanding, WindowUse } from "../core/explanation.js";
import type { WaitingFor } from "../core/session.js";
import type { WallMs } from "../core/units.js";
import type { MessageExplanation, SubscriberExplanation } from "./explanation-api.js";

/** Patterns of a filter that a sentence has room for. */
const PATTERNS_TOLD_MAX = 5;

/** A message's explanation before it has its sentence. */
export type UntoldMessage = Omit<MessageExplanation, "sentence">;

/** Where a message stands, as one plain sentence. */
export function messageSentence(at: number, message: UntoldMessage, now: WallMs): string {
  return `Message ${at} ${standingWords(message, now)}.`;
}

/** What a subscriber waits for, as one plain sentence. */
export function subscriberSentence(subscriber: string, { reasons, backlogCount, oldest, unsettled }: Omit<SubscriberExplanation, "sentence">, paused: WallMs | undefined): string {
  const words = reasons.map((reason) => reasonWords(reason, reason === "UNSETTLED_LIMIT" ? unsettled : undefined, paused));
  const backlog = backlogCount === 0 ? "no message is left to deliver" : `${backlogCount} left to deliver`;
  const oldestWords = oldest === undefined ? "" : `, the oldest unsettled one is ${oldest.offset}`;
  return `Subscriber ${subscriber}: ${words.join("; ")} (${backlog}${oldestWords}).`;
}

/** What a session waits for, as one plain sentence. */
export function sessionSentence({ clientId, session, waitingFor, window }: SessionStanding): string {
  return `Client ${clientId === "" ? session : clientId} ${waitingFor === undefined ? "is being delivered to" : WAITING_WORDS[waitingFor]} (${windowWords(window)}).`;
}

const WAITING_WORDS: Readonly<Record<WaitingFor, string>> = {
  NOTHING_NEW: "has everything that there is",
  FLOW: "has a full window, or does not read: it has to settle something",
  LANE: "waits for earlier messages of their lanes",
  RETRY_DELAY: "waits for the delay of a retry",
  PAUSED: "is paused, or does not pull at this moment",
  STANDBY: "stands by while another one works",
  UNSETTLED_LIMIT: "gets nothing new while the subscriber is at its max_unsettled",
};

function standingWords(message: UntoldMessage, now: WallMs): string {
  const { reason, subscriber } = message;
  switch (reason) {
    case "NOT_YET_STORED":
      return `is not stored yet: the last one of the queue is ${message.headOffset ?? 0}`;
    case "NO_MESSAGE":
      return "never was: there is a gap between two batches";
    case "FILTERED":
      return `is passed over: the filter of ${subscriber} takes ${patternWords(message.events ?? [])}`;
    case "ADDRESSED_ELSEWHERE":
      return `is a replay for another subscriber than ${subscriber}`;
    case "BEFORE_START":
      return `lies before the place where ${subscriber} began`;
    case "SETTLED":
      return `is settled for ${subscriber}`;
    case "DEAD_LETTERED":
      return `is a dead letter of ${subscriber}: ${message.deadLetterReason ?? "given up"} at attempt ${message.attempt ?? 1}${quoted(message.lastReason)}`;
    case "EXPIRED":
      return `has expired${message.expireTimeMs === undefined ? "" : ` at ${timeText(message.expireTimeMs)}`}: it is not handed out any more, and counts as settled for ${subscriber}`;
    case "DROPPED_BY_RETENTION":
      return `is gone from the queue, which begins at ${message.firstOffset ?? 0}: everybody had settled it, or retention dropped it`;
    case "PURGED":
      return `was purged by an operator: the queue begins at ${message.firstOffset ?? 0}`;
    case "CORRUPT":
      return "cannot be read from disk: look at the log of the server";
    case "IN_FLIGHT":
      return `is in flight ${holderWords(message, now)}, ${countWords(message)}${message.holder?.leaseLeftMs === undefined ? "" : `; ${span(message.holder.leaseLeftMs)} of the lease are left`}`;
    case "ACK_PENDING":
      return `has its verdict ${holderWords(message, now)}, which waits for message ${message.lane?.blockingOffset ?? 0} of its lane`;
    case "WAITING_FOR_RETRY":
      return `waits for a retry, ${countWords(message)}, until ${message.retryTimeMs === undefined ? "soon" : `${timeText(message.retryTimeMs)} (in ${span(message.retryTimeMs - now)})`}${quoted(message.lastReason)}`;
    case "LANE_BLOCKED":
      return laneWords(message);
    default:
      return `waits: ${reasonWords(reason, message.window, message.resumeTimeMs)}${aheadWords(message)}`;
  }
}

function reasonWords(reason: ExplainReason, window: WindowUse | undefined, resumeTimeMs: WallMs | undefined): string {
  switch (reason) {
    case "NO_CLIENT":
      return "nobody is connected";
    case "SUBSCRIBER_PAUSED":
      return `an operator paused it${resumeTimeMs === undefined ? "" : ` until ${timeText(resumeTimeMs)}`}`;
    case "CLIENTS_PAUSED":
      return "all its clients are paused or draining, or do not pull at this moment";
    case "UNSETTLED_LIMIT":
      return `it is at its max_unsettled${useWords(window)}; only a final verdict makes room`;
    case "WINDOW_FULL":
      return `the windows of all its clients are full${useWords(window)}; they have to settle something`;
    case "LANE_BLOCKED":
      return "lanes wait for earlier messages that are not settled";
    case "WAITING_FOR_RETRY":
      return "messages wait for the delay of a retry";
    case "IN_FLIGHT":
      return "messages are in flight and wait for a verdict";
    case "BEHIND_BACKLOG":
      return "its turn has not come";
    case "NOTHING_NEW":
      return "everything that matches was delivered";
    case "DELIVERING":
      return "messages are on their way";
    default:
      return reason.toLowerCase().replaceAll("_", " ");
  }
}

function patternWords(patterns: readonly string[]): string {
  const more = patterns.length - PATTERNS_TOLD_MAX;
  return `${patterns.slice(0, PATTERNS_TOLD_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function holderWords({ holder, holderPeer }: UntoldMessage, now: WallMs): string {
  if (holder === undefined) return "";
  const name = holder.clientId === "" ? `session ${holder.session}` : holder.clientId;
  return `with ${name}${holderPeer === undefined ? "" : ` at ${holderPeer}`} since ${timeText(holder.deliveryTimeMs)} (${span(now - holder.deliveryTimeMs)} ago)`;
}

function countWords({ attempt = 1, deliveryCount = 1 }: UntoldMessage): string {
  return `attempt ${attempt}, hand-out ${deliveryCount}`;
}

function laneWords({ lane, orderingKey, attempt = 1, lastReason }: UntoldMessage): string {
  const key = orderingKey === undefined || orderingKey === "" ? "of messages without a key" : JSON.stringify(orderingKey);
  if (lane === undefined) return `waits in the lane ${key}`;
  if (lane.blockedByPoison && lane.blockingReason === "LANE_BLOCKED") {
    return `waits: the lane ${key} stands still behind message ${lane.blockingOffset}, which is poison after attempt ${attempt}${quoted(lastReason)}, until somebody retries or rejects it`;
  }
  return `waits: in the lane ${key}, message ${lane.blockingOffset} comes first, and that is ${lane.blockingReason.toLowerCase().replaceAll("_", " ")}`;
}

function aheadWords({ aheadCount }: UntoldMessage): string {
  return aheadCount === undefined ? "" : `; ${aheadCount} matching ones come before it`;
}

function windowWords({ messagesUsed, messagesAllowed }: WindowUse): string {
  return messagesAllowed === 0 ? `${messagesUsed} messages in hand` : `${messagesUsed} of ${messagesAllowed} messages in hand`;
}

function useWords(window: WindowUse | undefined): string {
  return window === undefined ? "" : ` (${window.messagesUsed} of ${window.messagesAllowed} messages)`;
}

function quoted(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "" : `: ${JSON.stringify(reason)}`;
}

function timeText(time: WallMs): string {
  return new Date(time).toISOString();
}

/** A time in seconds, with one digit below ten of them. */
function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}
