import type { ExplainReason, Holder, SessionStanding, Standing, SubscriberStanding, WindowUse } from "../explanation.js";
import type { SessionId, WaitingFor } from "../session.js";
import { wallMs, type Now, type Offset } from "../units.js";
import { FATE, type DeliveryBatch } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";
import type { Trouble } from "./trouble.js";

/** Says why a subscription stands as it does: what heartbeats tell, and what an operator asks. */
export class Explaining {
  constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
  ) {}

  /** Why nothing goes out to a session right now; undefined when something is on its way. */
  waitingFor(id: SessionId): WaitingFor | undefined {
    const session = this.state.sessions.get(id);
    return session === undefined ? undefined : waitingFor(session, this.state, this.order);
  }

  /**
   * Where a message stands that the subscription takes; undefined when it is settled. Costs O(messages in flight).
   * @param lane the hash of its ordering key
   */
  message(at: Offset, lane: bigint, now: Now): Standing | undefined {
    return standingOf(this.state, this.order, at, lane, now);
  }

  subscriber(): SubscriberStanding {
    return subscriberStanding(this.state, this.order);
  }
}

function waitingFor(session: SessionState, state: SubscriptionState, order: DeliveryOrder): WaitingFor | undefined {
  if (session.standby) return "STANDBY";
  if (session.flow.paused || state.pause !== undefined) return "PAUSED";
  const { anyBehind, behindIsReady, waitingRetries, handedOut, unsettledUsed } = order.outlook();
  const anyNew = state.next <= state.head;
  if (!anyNew && !anyBehind) return waitingRetries > 0 ? "RETRY_DELAY" : "NOTHING_NEW";
  if (!session.hasRoom || !session.transportReady || session.suspectInFlight) return "FLOW";
  if (behindIsReady || state.loading !== undefined) return undefined;
  if (anyNew) return unsettledUsed >= state.settings.maxUnsettled ? "UNSETTLED_LIMIT" : undefined;
  return waitingRetries > 0 && handedOut === 0 ? "RETRY_DELAY" : "LANE";
}

function standingOf(state: SubscriptionState, order: DeliveryOrder, at: Offset, lane: bigint, now: Now): Standing | undefined {
  for (const session of state.sessions.values()) {
    for (const batch of session.held.values()) {
      const positions = batch.positions(at, at);
      if (positions === undefined || batch.fateAt(positions.first) !== FATE.HELD) continue;
      return { reason: "IN_FLIGHT", ...countsOf(batch.facts), holder: holderOf(session, batch, batch.deadlineAt(positions.first), now) };
    }
  }
  for (const session of state.leaving) {
    for (const batch of session.held.values()) {
      const positions = batch.positions(at, at);
      if (positions === undefined || batch.fateAt(positions.first) !== FATE.HELD) continue;
      // It is about to be free; under AUTO it counts as taken.
      return session.isAuto ? undefined : held(state, order, batch.facts);
    }
  }
  const { deadLetter: burial, detached } = state.burials.get(at) ?? {};
  if (burial !== undefined && detached !== true) return { reason: "DEAD_LETTERED", attempt: burial.attempts, deliveryCount: burial.deliveries, lastReason: burial.detail };
  const place = order.placeOf(at, lane);
  switch (place?.kind) {
    case undefined:
      return at < state.next || state.done.has(at) ? undefined : held(state, order, undefined);
    case "ready":
      return held(state, order, place.trouble);
    case "retry":
      if (place.dueAt <= now.monotonicMs) return held(state, order, place.trouble);
      return { reason: "WAITING_FOR_RETRY", ...countsOf(place.trouble), retryTimeMs: place.dueWallMs };
    case "concluded": {
      const { batch, session, behind } = place;
      const counts = batch === undefined ? {} : { ...countsOf(batch.facts), holder: holderOf(session, batch, Infinity, now) };
      return { reason: "ACK_PENDING", ...counts, lane: blockBy(state, order, behind, lane, now) };
    }
    case "poison":
      return { reason: "LANE_BLOCKED", ...countsOf(place.poison), lane: { blockingOffset: at, blockingReason: "LANE_BLOCKED", blockedByPoison: true } };
    case "behind":
      return { reason: "LANE_BLOCKED", lane: blockBy(state, order, place.first, lane, now) };
  }
}

function subscriberStanding(state: SubscriptionState, order: DeliveryOrder): SubscriberStanding {
  return {
    reasons: reasonsOf(state, order),
    sessions: [...state.startedSessions()].map((session) => sessionStanding(session, state, order)),
    oldest: order.floor + 1 < state.next ? ((order.floor + 1) as Offset) : undefined,
    unsettled: unsettledUse(state, order),
    resumeTimeMs: state.pause?.resumeTimeMs,
  };
}

function reasonsOf(state: SubscriptionState, order: DeliveryOrder): readonly ExplainReason[] {
  const { anyBehind, waitingRetries, handedOut } = order.outlook();
  const anyNew = state.next <= state.head;
  const anythingLeft = anyNew || anyBehind || waitingRetries > 0;
  const reasons: ExplainReason[] = [];
  if (state.pause !== undefined) reasons.push("SUBSCRIBER_PAUSED");
  if (!anyWorking(state)) reasons.push("NO_CLIENT");
  const waits = new Set<WaitingFor | undefined>();
  for (const session of workers(state)) waits.add(waitingFor(session, state, order));
  if (anythingLeft && reasons.length === 0) {
    if (allPaused(state)) reasons.push("CLIENTS_PAUSED");
    else if (waits.has(undefined)) reasons.push("DELIVERING");
    if (waits.has("UNSETTLED_LIMIT")) reasons.push("UNSETTLED_LIMIT");
    if (allFull(state)) reasons.push("WINDOW_FULL");
    if (waits.has("LANE")) reasons.push("LANE_BLOCKED");
  }
  if (!reasons.includes("LANE_BLOCKED") && (order.blocked?.count ?? 0) > 0) reasons.push("LANE_BLOCKED");
  if (waitingRetries > 0) reasons.push("WAITING_FOR_RETRY");
  if (handedOut > 0) reasons.push("IN_FLIGHT");
  if (!anythingLeft) reasons.push("NOTHING_NEW");
  return reasons;
}

/** Why a message that could go out, as far as it goes, does not. */
function held(state: SubscriptionState, order: DeliveryOrder, trouble: Trouble | undefined): Standing {
  const counts = trouble === undefined ? {} : countsOf(trouble);
  if (state.pause !== undefined) {
    const { resumeTimeMs } = state.pause;
    return { reason: "SUBSCRIBER_PAUSED", ...counts, ...(resumeTimeMs !== undefined && { resumeTimeMs }) };
  }
  if (!anyWorking(state)) return { reason: "NO_CLIENT", ...counts };
  if (allPaused(state)) return { reason: "CLIENTS_PAUSED", ...counts };
  const unsettled = unsettledUse(state, order);
  if (trouble === undefined && unsettled.messagesUsed >= unsettled.messagesAllowed) return { reason: "UNSETTLED_LIMIT", window: unsettled };
  if (allFull(state)) return { reason: "WINDOW_FULL", ...counts, window: windowOfAll(state) };
  return { reason: "BEHIND_BACKLOG", ...counts };
}

function blockBy(state: SubscriptionState, order: DeliveryOrder, first: Offset, lane: bigint, now: Now): NonNullable<Standing["lane"]> {
  const standing = standingOf(state, order, first, lane, now);
  return { blockingOffset: first, blockingReason: standing?.reason ?? "BEHIND_BACKLOG", blockedByPoison: standing?.lane?.blockedByPoison ?? false };
}

function sessionStanding(session: SessionState, state: SubscriptionState, order: DeliveryOrder): SessionStanding {
  return { session: session.id, clientId: session.settings.clientId, waitingFor: waitingFor(session, state, order), window: windowOf(session) };
}

/** Sessions that messages could go to: one that stands by is none. */
function workers(state: SubscriptionState): SessionState[] {
  return [...state.sessions.values()].filter(({ works }) => works);
}

function anyWorking(state: SubscriptionState): boolean {
  return workers(state).length > 0;
}

function allPaused(state: SubscriptionState): boolean {
  return workers(state).every(({ flow, draining, finished }) => flow.paused || draining || finished);
}

function allFull(state: SubscriptionState): boolean {
  const open = workers(state).filter(({ flow, draining }) => !flow.paused && !draining);
  return open.length > 0 && open.every(({ hasRoom, transportReady, suspectInFlight }) => !hasRoom || !transportReady || suspectInFlight);
}

function windowOf({ isAuto, inFlightMessages, inFlightBytes, flow }: SessionState): WindowUse {
  // Under AUTO the transport's window is the only one.
  return { messagesUsed: inFlightMessages, messagesAllowed: isAuto ? 0 : flow.maxMessages, bytesUsed: inFlightBytes, bytesAllowed: isAuto ? 0 : flow.maxBytes };
}

function windowOfAll(state: SubscriptionState): WindowUse {
  const sum = { messagesUsed: 0, messagesAllowed: 0, bytesUsed: 0, bytesAllowed: 0 };
  for (const session of workers(state)) {
    const window = windowOf(session);
    sum.messagesUsed += window.messagesUsed;
    sum.messagesAllowed += window.messagesAllowed;
    sum.bytesUsed += window.bytesUsed;
    sum.bytesAllowed += window.bytesAllowed;
  }
  return sum;
}

function unsettledUse(state: SubscriptionState, order: DeliveryOrder): WindowUse {
  return { messagesUsed: order.outlook().unsettledUsed, messagesAllowed: state.settings.maxUnsettled, bytesUsed: 0, bytesAllowed: 0 };
}

function holderOf(session: SessionState, batch: DeliveryBatch, deadline: number, now: Now): Holder {
  return {
    session: session.id,
    clientId: session.settings.clientId,
    batchId: batch.facts.batchId,
    deliveryTimeMs: wallMs(Math.round(now.wallMs - (now.monotonicMs - batch.handedOutAt))),
    leaseLeftMs: deadline === Infinity ? undefined : Math.max(0, deadline - now.monotonicMs),
  };
}

function countsOf({ attempt, deliveryCount, cause, lastReason }: Trouble): Pick<Standing, "attempt" | "deliveryCount" | "cause" | "lastReason"> {
  return { attempt, deliveryCount, cause, lastReason };
}
