import { AckMode, type OpenSession, Sharing, StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import type { OffsetRange } from "../../generated/tidemark/v1/message.js";
import type { SubscribeOptions } from "./subscribe-options.js";
import { dateToTimestamp, durationFromMs } from "./wire-time.js";

/** Where a session goes on that replaces a broken one. */
export interface ResumePoint {
  /** Of an ephemeral subscription: everything up to it is done. Undefined: the broker knows by itself. */
  readonly afterOffset: number | undefined;
  /** The incarnation of the queue that `afterOffset` and `done` belong to; empty: any. */
  readonly queueId: string;
  /** The session before, which the broker may still take for alive; empty: none. */
  readonly replacesSessionId: string;
  /** What was acked in it and may not be on disk. */
  readonly done: readonly OffsetRange[];
  /** A session was open before, so the broker knows the position. */
  readonly isKnown: boolean;
  /** Messages done so far, which count for `stop`. */
  readonly doneCount: number;
}

/** The first frame of a session, as the options say, or going on from `resume`. */
export function openSession(queue: string, clientId: string, options: SubscribeOptions, resume: ResumePoint): OpenSession {
  return {
    queue,
    subscriber: options.subscriber ?? "",
    events: [...(options.events ?? [])],
    ackMode: options.acks === "auto" ? AckMode.AUTO : AckMode.EXPLICIT,
    flow: flowOf(options),
    start: resume.afterOffset === undefined ? startOf(options.from) : { $case: "startAfterOffset", value: BigInt(resume.afterOffset) },
    ackTimeout: options.ackTimeoutMs === undefined ? undefined : durationFromMs(options.ackTimeoutMs),
    stop: stopOf(options, resume.doneCount),
    textView: false,
    clientId,
    processedThrough: options.processedThrough === undefined || resume.isKnown ? undefined : BigInt(options.processedThrough),
    maxInFlightPerLane: options.maxInFlightPerLane ?? 0,
    queueId: options.queueId ?? resume.queueId,
    sharing: options.exclusive === true ? Sharing.EXCLUSIVE : Sharing.UNSPECIFIED,
    heartbeat: options.heartbeatMs === undefined ? undefined : durationFromMs(options.heartbeatMs),
    clientTimeout: undefined,
    maxBatchMessages: 0,
    maxBatchBytes: 0n,
    requiredCapabilities: [],
    labels: {},
    done: [...resume.done],
    replacesSessionId: resume.replacesSessionId,
  };
}

function flowOf(options: SubscribeOptions): OpenSession["flow"] {
  const { maxInFlightMessages = 0, maxInFlightBytes = 0 } = options;
  if (maxInFlightMessages === 0 && maxInFlightBytes === 0) return undefined;
  return { maxMessages: maxInFlightMessages, maxBytes: BigInt(maxInFlightBytes), paused: false };
}

/** Where a new subscriber begins, as the contract says it. */
export function startOf(from: SubscribeOptions["from"]): OpenSession["start"] {
  switch (from) {
    case undefined:
      return undefined;
    case "earliest":
      return { $case: "startAt", value: StartPosition.EARLIEST };
    case "latest":
      return { $case: "startAt", value: StartPosition.LATEST };
    default:
      if ("time" in from) return { $case: "startFromTime", value: dateToTimestamp(from.time) };
      return { $case: "startAfterOffset", value: BigInt(from.afterOffset) };
  }
}

function stopOf(options: SubscribeOptions, doneCount: number): OpenSession["stop"] {
  if (options.stop === undefined) return undefined;
  if (options.stop === "at_head") return { $case: "stopAtHead", value: true };
  return { $case: "stopAfterMessages", value: BigInt(Math.max(1, options.stop.afterMessages - doneCount)) };
}
