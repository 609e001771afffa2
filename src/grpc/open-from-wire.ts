import { AckMode as WireAckMode, Sharing as WireSharing, StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import type { OpenSession as WireOpen } from "../../generated/tidemark/v1/subscribe.js";
import { BrokerError } from "../core/errors.js";
import { EventFilter } from "../core/event-filter.js";
import { DEFAULTS, LIMITS } from "../core/limits.js";
import { checkClientId, checkLabels, checkName, checkText, invalidField } from "../core/names.js";
import type { AckMode, Claims, OffsetRun, OpenSession, Sharing, StartPoint, StopPoint } from "../core/session.js";
import { offset } from "../core/units.js";
import type { AnswerCall, RawCall } from "./call-flow.js";
import { CAPABILITIES } from "./capabilities.js";
import { clampedOr, flowWindow } from "./from-wire.js";
import { clampedNumber, durationMs, exactNumber, publishedSince } from "./wire-numbers.js";

/** Where a stream came from, as its call says. */
export interface SessionOrigin {
  /** `host:port`. */
  readonly peer: string;
  /** The `user-agent` header, cut; empty: none. */
  readonly userAgent: string;
}

export function sessionOrigin(call: RawCall | AnswerCall): SessionOrigin {
  const [userAgent = ""] = call.metadata.get("user-agent");
  // Header values are ASCII: a character is a byte.
  return { peer: call.getPeer(), userAgent: String(userAgent).slice(0, LIMITS.userAgentBytesMax) };
}

/** A session as the broker takes it: checked, defaults filled in. BrokerError names the first bad field. */
export function openSession(wire: WireOpen, { peer, userAgent }: SessionOrigin): OpenSession {
  checkCapabilities(wire.requiredCapabilities);
  const ackMode = openAckMode(wire.ackMode);
  const sharing = openSharing(wire.sharing);
  EventFilter.parse(wire.events, "open.events");
  return {
    kind: "STREAM",
    queue: checkName("open.queue", wire.queue),
    subscriber: wire.subscriber === "" ? "" : checkName("open.subscriber", wire.subscriber),
    events: wire.events,
    ackMode,
    flow: flowWindow(wire.flow),
    start: startPoint("open", wire.start),
    ackTimeoutMs: durationMs("open.ack_timeout", wire.ackTimeout, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax),
    stop: stopPoint(wire.stop),
    textView: wire.textView,
    clientId: checkClientId("open.client_id", wire.clientId),
    queueId: checkText("open.queue_id", wire.queueId, LIMITS.nameLengthMax),
    heartbeatMs: durationMs("open.heartbeat", wire.heartbeat, LIMITS.heartbeatMsMin, LIMITS.heartbeatMsMax),
    clientTimeoutMs: durationMs("open.client_timeout", wire.clientTimeout, LIMITS.clientTimeoutMsMin, LIMITS.clientTimeoutMsMax),
    maxBatchMessages: clampedOr(DEFAULTS.deliveryBatchMessages, wire.maxBatchMessages, LIMITS.deliveryBatchMessagesMax),
    maxBatchBytes: clampedOr(DEFAULTS.deliveryBatchBytes, clampedNumber(wire.maxBatchBytes), LIMITS.deliveryBatchBytesMax),
    maxInFlightPerLane: clampedOr(1, wire.maxInFlightPerLane, LIMITS.flowMessagesMax),
    sharing,
    claims: claims(wire, sharing),
    replacesSessionId: checkText("open.replaces_session_id", wire.replacesSessionId, LIMITS.nameLengthMax),
    labels: checkLabels("open.labels", Object.entries(wire.labels)),
    peer,
    userAgent,
  };
}

function checkCapabilities(required: readonly string[]): void {
  const unknown = required.find((name) => !CAPABILITIES.includes(name));
  if (unknown === undefined) return;
  throw new BrokerError("UNKNOWN_CAPABILITY", `this server has no capability ${JSON.stringify(unknown.slice(0, 64))}; it has ${CAPABILITIES.join(", ")}`, {
    field: "open.required_capabilities",
    value: unknown.slice(0, 64),
    limit: CAPABILITIES.join(","),
  });
}

function openSharing(wire: WireSharing): Sharing {
  switch (wire) {
    case WireSharing.UNSPECIFIED:
    case WireSharing.SHARED:
      return "SHARED";
    case WireSharing.EXCLUSIVE:
      return "EXCLUSIVE";
    default:
      throw invalidField("open.sharing", String(wire), "SHARING_SHARED or SHARING_EXCLUSIVE");
  }
}

/** What the client says that it had done. Offsets beyond the head are for the queue to refuse. */
function claims({ processedThrough, done, subscriber, queueId }: WireOpen, sharing: Sharing): Claims {
  const ephemeral = "nothing without a subscriber: an ephemeral one goes on with start_after_offset";
  if (processedThrough !== undefined) {
    const value = String(processedThrough);
    if (subscriber === "") throw invalidField("open.processed_through", value, ephemeral);
    if (sharing !== "EXCLUSIVE") throw invalidField("open.processed_through", value, "nothing unless sharing is SHARING_EXCLUSIVE");
    if (queueId === "") throw invalidField("open.queue_id", "", "the queue_id that processed_through belongs to");
  }
  if (done.length > 0 && subscriber === "") throw invalidField("open.done", `${done.length} runs`, ephemeral);
  if (done.length > LIMITS.doneRunsMax) throw invalidField("open.done", `${done.length} runs`, `up to ${LIMITS.doneRunsMax} runs`);
  return {
    processedThrough: processedThrough === undefined ? undefined : offset(exactNumber("open.processed_through", processedThrough)),
    done: done.map((run, i) => doneRun(`open.done[${i}]`, run)),
  };
}

function doneRun(field: string, wire: WireOpen["done"][number]): OffsetRun {
  const first = exactNumber(`${field}.first`, wire.first);
  const last = wire.last === 0n ? first : exactNumber(`${field}.last`, wire.last);
  if (first === 0) throw invalidField(`${field}.first`, "0", "1 or more");
  if (last < first) throw invalidField(`${field}.last`, String(last), `0, or ${first} and more`);
  return { first: offset(first), last: offset(last) };
}

function openAckMode(wire: WireAckMode): AckMode {
  switch (wire) {
    case WireAckMode.UNSPECIFIED:
    case WireAckMode.EXPLICIT:
      return "EXPLICIT";
    case WireAckMode.AUTO:
      return "AUTO";
    default:
      throw invalidField("open.ack_mode", String(wire), "ACK_MODE_EXPLICIT or ACK_MODE_AUTO");
  }
}

/** Where a subscriber begins; undefined when nothing is said. `message` is who says it in the request. */
export function startPoint(message: "open" | "subscriber", wire: WireOpen["start"]): StartPoint | undefined {
  if (wire === undefined) return undefined;
  if (wire.$case === "startFromTime") return { kind: "from_time", timeMs: publishedSince(`${message}.start_from_time`, wire.value) };
  if (wire.$case === "startAfterOffset") {
    return { kind: "after_offset", offset: offset(exactNumber(`${message}.start_after_offset`, wire.value)) };
  }
  switch (wire.value) {
    case StartPosition.UNSPECIFIED:
      return undefined;
    case StartPosition.EARLIEST:
      return { kind: "earliest" };
    case StartPosition.LATEST:
      return { kind: "latest" };
    default:
      throw invalidField(`${message}.start_at`, String(wire.value), "START_POSITION_EARLIEST or START_POSITION_LATEST");
  }
}

function stopPoint(wire: WireOpen["stop"]): StopPoint {
  if (wire === undefined || wire.value === false) return { kind: "never" };
  if (wire.$case === "stopAtHead") return { kind: "at_head" };
  const count = exactNumber("open.stop_after_messages", wire.value);
  if (count === 0) throw invalidField("open.stop_after_messages", "0", "1 or more");
  return { kind: "after_messages", count };
}
