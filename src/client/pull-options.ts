import type { PullRequest } from "../../generated/tidemark/v1/pull.js";
import { durationFromMs } from "./wire-time.js";

/** What to pull. Whatever is left out is the broker's default. */
export interface PullOptions {
  /** The durable name under which the broker remembers what is done. It is made at its first pull, and begins with the oldest message. */
  readonly subscriber: string;
  /** Event filters. Default: as stored, or every event when the subscriber is new. */
  readonly events?: readonly string[];
  /** At most this many messages. Default: 100. */
  readonly maxMessages?: number;
  /** At most this many bytes of messages, though one message always passes; 3 MiB at most. Default: 1 MiB. */
  readonly maxBytes?: number;
  /** How long to wait for a first message when there is none, up to 60,000. Default: 0, an empty answer at once. */
  readonly waitMs?: number;
  /** How long the messages are leased, 100 ms to 12 h. A session that goes on keeps its own. Default: the subscriber's, 60 s. */
  readonly ackTimeoutMs?: number;
  /**
   * The session to go on with, from an earlier pull: what it holds stays held. SESSION_NOT_FOUND once it has ended, which is ten
   * seconds after it held its last message. Default: a new one.
   */
  readonly sessionId?: string;
  /** When it aborts, the call is cancelled: it rejects as CANCELLED, and holds nothing. */
  readonly signal?: AbortSignal;
}

/** A pull as it goes out. */
export function pullRequest(queue: string, clientId: string, options: PullOptions): PullRequest {
  const { subscriber, events = [], maxMessages = 0, maxBytes = 0, waitMs, ackTimeoutMs, sessionId = "" } = options;
  return {
    queue,
    subscriber,
    events: [...events],
    maxMessages,
    maxBytes: BigInt(maxBytes),
    wait: waitMs === undefined ? undefined : durationFromMs(waitMs),
    ackTimeout: ackTimeoutMs === undefined ? undefined : durationFromMs(ackTimeoutMs),
    sessionId,
    textView: false,
    clientId,
  };
}
