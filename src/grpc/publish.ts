import type { handleUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { PublishBatchRequest, PublishBatchResponse, PublishRequest, PublishResponse } from "../../generated/tidemark/v1/publish.js";
import type { BrokerApi, PublishAccepted, PublishFrame } from "../broker/api.js";
import { checkName, invalidField } from "../core/names.js";
import type { Journal } from "../ports/journal.js";
import type { Telemetry } from "../ports/telemetry.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { expectedLastOffset, newMessage, newMessages, whenDue } from "./from-wire.js";
import { asBrokerError, callStatus } from "./status.js";
import { DURABILITIES } from "./to-wire.js";
import { timestamp } from "./wire-numbers.js";

/** Publish: one message, answered once it is durable. */
export function publish(broker: BrokerApi, journal: Journal, telemetry: Telemetry): handleUnaryCall<Buffer, Buffer> {
  return publishCall(broker, journal, telemetry, "Publish", publishFrame, (accepted) =>
    encodeMessage(PublishResponse, {
      offset: BigInt(accepted.firstOffset),
      duplicate: accepted.duplicate,
      publishTime: timestamp(accepted.publishTimeMs),
      durability: DURABILITIES[broker.durability],
      matchedSubscribers: accepted.matchedSubscribers,
      scheduleId: accepted.scheduleId ?? "",
    }),
  );
}

/** PublishBatch: up to 1,000 messages of one queue, all or nothing. */
export function publishBatch(broker: BrokerApi, journal: Journal, telemetry: Telemetry): handleUnaryCall<Buffer, Buffer> {
  return publishCall(broker, journal, telemetry, "PublishBatch", batchFrame, (accepted) =>
    encodeMessage(PublishBatchResponse, {
      firstOffset: BigInt(accepted.firstOffset),
      duplicate: accepted.duplicate,
      publishTime: timestamp(accepted.publishTimeMs),
      durability: DURABILITIES[broker.durability],
      unmatchedCount: accepted.unmatchedCount,
    }),
  );
}

/** By callback, not by promise: this is the hot path of clients that publish one by one. */
function publishCall(
  broker: BrokerApi,
  journal: Journal,
  telemetry: Telemetry,
  method: string,
  frameOf: (request: Buffer) => PublishFrame,
  encode: (accepted: PublishAccepted) => Buffer,
): handleUnaryCall<Buffer, Buffer> {
  return (call, callback: sendUnaryData<Buffer>) => {
    const fail = (error: unknown): void => {
      const known = asBrokerError(error, journal, method);
      telemetry.publishFailed(known.reason);
      callback(callStatus(known));
    };
    try {
      // What `publish` answers about room is for streams: a unary caller waits for its answer anyway.
      broker.publish(frameOf(call.request), (outcome) => {
        if (outcome.ok) callback(null, encode(outcome));
        else fail(outcome.error);
      });
    } catch (error) {
      fail(error);
    }
  };
}

function publishFrame(bytes: Buffer): PublishFrame {
  const request = decodeRequest(PublishRequest, "PublishRequest", bytes);
  const queue = checkName("queue", request.queue);
  const messages = [newMessage("message", request.message, bytes.length)];
  const frame = { queue, messages, expectedLastOffset: expectedLastOffset(request.expectedLastOffset), independent: false };
  const when = request.message && whenDue("message", request.message);
  if (when === undefined) return frame;
  if (frame.expectedLastOffset !== undefined) {
    throw invalidField("expected_last_offset", String(frame.expectedLastOffset), "nothing: a message that is put off has no place in the queue yet that a condition could hold for");
  }
  return { ...frame, when };
}

function batchFrame(bytes: Buffer): PublishFrame {
  const request = decodeRequest(PublishBatchRequest, "PublishBatchRequest", bytes);
  return {
    queue: checkName("queue", request.queue),
    messages: newMessages("messages", request.messages, bytes.length),
    expectedLastOffset: expectedLastOffset(request.expectedLastOffset),
    independent: false,
  };
}
