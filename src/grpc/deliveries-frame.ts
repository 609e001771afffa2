import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Deliveries, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import type { BatchFacts } from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import { varintBytes, writeVarint } from "../core/wire-format.js";
import { encodeMessage } from "./codec.js";
import { copyStored, showAsText, storedBytes } from "./stored-messages.js";
import { CAUSES } from "./to-wire.js";
import { duration } from "./wire-numbers.js";

/** Tag of SubscribeResponse.deliveries: field 1, length-delimited. */
const DELIVERIES_TAG = 0x0a;

/**
 * One whole SubscribeResponse with a Deliveries frame, out of stored bytes: the stretches of chunk bodies, which are
 * `Deliveries.messages` already, then the batch's own few fields. Nothing is decoded; each byte is copied once, into a frame
 * that belongs to the caller.
 */
export function deliveriesFrame(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): Buffer {
  const own = ownFields(batch, backlogCount);
  const length = storedBytes(parts) + own.length;
  const frame = Buffer.allocUnsafe(1 + varintBytes(length) + length);
  frame[0] = DELIVERIES_TAG;
  frame.set(own, copyStored(parts, frame, writeVarint(frame, 1, length)));
  return frame;
}

/** The same for people at a prompt: a payload that is UTF-8 moves into `text`. Decodes and encodes; not for speed. */
export function deliveriesTextFrame(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): Buffer {
  const stored = deliveriesFrame(batch, parts, backlogCount);
  const response = SubscribeResponse.decode(stored);
  if (response.frame?.$case === "deliveries") showAsText(response.frame.value.messages);
  return encodeMessage(SubscribeResponse, response);
}

/** Fields 2 and up of Deliveries; messages are left out. */
function ownFields(batch: BatchFacts, backlogCount: number): Uint8Array {
  return Deliveries.encode(
    {
      messages: [],
      batchId: BigInt(batch.batchId),
      attempt: batch.attempt,
      cause: CAUSES[batch.cause],
      lease: batch.leaseMs === 0 ? undefined : duration(batch.leaseMs),
      backlogCount: BigInt(backlogCount),
      lastReason: batch.lastReason,
      deliveryCount: batch.deliveryCount,
    },
    new BinaryWriter(),
  ).finish();
}
