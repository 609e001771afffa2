import type { PullRequest } from "../../generated/tidemark/v1/pull.js";
import type { PullOrder } from "../broker/pull-api.js";
import { EventFilter } from "../core/event-filter.js";
import { DEFAULTS, LIMITS } from "../core/limits.js";
import { checkClientId, checkName, checkText, invalidField } from "../core/names.js";
import { NO_CLAIMS } from "../core/session.js";
import { clampedOr } from "./from-wire.js";
import type { SessionOrigin } from "./open-from-wire.js";
import { clampedNumber, durationMs } from "./wire-numbers.js";

/** What a Pull asks for, as the broker takes it: checked, defaults filled in. BrokerError names the first bad field. */
export function pullOrder(wire: PullRequest, { peer, userAgent }: SessionOrigin): PullOrder {
  if (wire.subscriber === "") throw invalidField("subscriber", "", "the name of a durable subscriber: an ephemeral one would be gone with its session");
  EventFilter.parse(wire.events, "events");
  const maxMessages = clampedOr(DEFAULTS.pullMessages, wire.maxMessages, LIMITS.flowMessagesMax);
  const maxBytes = clampedOr(DEFAULTS.pullBytes, clampedNumber(wire.maxBytes), LIMITS.pullBytesMax);
  return {
    open: {
      kind: "PULL",
      queue: checkName("queue", wire.queue),
      subscriber: checkName("subscriber", wire.subscriber),
      events: wire.events,
      ackMode: "EXPLICIT",
      flow: { maxMessages, maxBytes, paused: false },
      start: undefined,
      ackTimeoutMs: durationMs("ack_timeout", wire.ackTimeout, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax),
      stop: { kind: "never" },
      textView: wire.textView,
      clientId: checkClientId("client_id", wire.clientId),
      queueId: "",
      // Nobody listens for heartbeats.
      heartbeatMs: LIMITS.heartbeatMsMax,
      clientTimeoutMs: undefined,
      maxBatchMessages: LIMITS.deliveryBatchMessagesMax,
      maxBatchBytes: LIMITS.deliveryBatchBytesMax,
      // Nobody listens for recalls either.
      maxInFlightPerLane: 1,
      sharing: "SHARED",
      claims: NO_CLAIMS,
      replacesSessionId: "",
      labels: new Map(),
      peer,
      userAgent,
    },
    sessionId: checkText("session_id", wire.sessionId, LIMITS.nameLengthMax),
    maxMessages,
    maxBytes,
    waitMs: durationMs("wait", wire.wait, 0, LIMITS.pullWaitMsMax) ?? 0,
  };
}
