import type { PublishBatchResponse, PublishResponse } from "../../generated/tidemark/v1/publish.js";
import type { Connection } from "./connection.js";
import { type OutgoingMessage, wireMessage } from "./outgoing-message.js";
import type { Published } from "./publish-frame.js";
import { safeNumber } from "./safe-number.js";
import { isPassing, outcomeUnknown, TidemarkError } from "./tidemark-error.js";
import { unaryCall } from "./unary-call.js";
import { timestampToDate } from "./wire-time.js";

/** Conditions on a batch. */
export interface BatchOptions {
  /**
   * The offset that must be the queue's last one when the batch is stored; 0: the queue never had a message. Otherwise the
   * batch is refused with FAILED_PRECONDITION. Default: no condition.
   */
  readonly expectedLastOffset?: number;
}

/** What the broker says once a whole batch is durable. */
export interface PublishedBatch {
  /** Offset of the first message; the others follow without a gap. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** True: all of its message ids were stored before, at these offsets; nothing was stored now. */
  readonly duplicate: boolean;
  /** When the broker took it. Undefined if the broker did not say. */
  readonly publishTime: Date | undefined;
  /** Messages that no durable subscriber's filter takes. */
  readonly unmatchedCount: number;
}

/** Publishes all messages or none, at consecutive offsets. */
export async function publishBatch(
  connection: Connection,
  patienceMs: number,
  queue: string,
  messages: readonly OutgoingMessage[],
  options: BatchOptions,
): Promise<PublishedBatch> {
  const request = {
    queue,
    messages: messages.map((message) => wireMessage(queue, message)),
    expectedLastOffset: options.expectedLastOffset === undefined ? undefined : BigInt(options.expectedLastOffset),
  };
  const response = await knowingOutcome(
    unaryCall<PublishBatchResponse>(connection, patienceMs, (callback) => connection.broker.publishBatch(request, callback)),
  );
  const firstOffset = safeNumber(response.firstOffset, "first_offset");
  return {
    firstOffset,
    lastOffset: firstOffset + messages.length - 1,
    duplicate: response.duplicate,
    publishTime: response.publishTime === undefined ? undefined : timestampToDate(response.publishTime),
    unmatchedCount: response.unmatchedCount,
  };
}

/** Publishes one message in a call of its own: for those too large to share a stream's frame, and those that are put off. */
export async function publishAlone(connection: Connection, patienceMs: number, queue: string, message: OutgoingMessage): Promise<Published> {
  const request = { queue, message: wireMessage(queue, message), expectedLastOffset: undefined };
  const response = await knowingOutcome(
    unaryCall<PublishResponse>(connection, patienceMs, (callback) => connection.broker.publish(request, callback)),
  );
  return {
    offset: safeNumber(response.offset, "offset"),
    duplicate: response.duplicate,
    publishTime: response.publishTime === undefined ? undefined : timestampToDate(response.publishTime),
    matched: response.matchedSubscribers > 0,
    ...(response.scheduleId !== "" && { scheduleId: response.scheduleId }),
  };
}

/** A call that broke on its way, which the broker did not refuse in words, leaves it open whether the messages are stored. */
async function knowingOutcome<Response>(call: Promise<Response>): Promise<Response> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof TidemarkError && error.reason === "" && isPassing(error)) throw outcomeUnknown(error);
    throw error;
  }
}
