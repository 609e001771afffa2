import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Deliveries, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import type { BatchFacts } from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import { varintBytes, writeVarint } from "../core/wire-format.js";
import { LIMITS } from "../core/limits.js";
import { encodeMessage } from "./codec.js";
import { copyStored, heldBytes, showAsText, storedBytes } from "./stored-messages.js";
import { CAUSES } from "./to-wire.js";
import { duration } from "./wire-numbers.js";

/** Tag of SubscribeResponse.deliveries: field 1, length-delimited. */
const DELIVERIES_TAG = 0x0a;

/** A frame that holds more than its own bytes and this is copied: a chunk at either end of it is usual, one a message is not. */
const HELD_BESIDE_MAX = 2 * LIMITS.chunkBytesMax;

/**
 * One whole SubscribeResponse with a Deliveries frame, out of stored bytes: the stretches of chunk bodies, which are
 * `Deliveries.messages` already, then the batch's own few fields. Nothing is decoded, and nothing copied until gRPC asks for
 * it: of a message to send grpc-js wants to know how long it is, and then that it copies itself into a buffer of grpc-js's own.
 * For a Buffer of ours every byte would be copied twice.
 */
export class DeliveriesFrame {
  readonly byteLength: number;
  /** What stays in memory as long as it waits: the chunks that it is made of. */
  readonly heldBytes: number;
  private readonly length: number;
  private readonly own: Uint8Array;

  constructor(
    batch: BatchFacts,
    private readonly parts: readonly DeliveryPart[],
    backlogCount: number,
  ) {
    this.own = ownFields(batch, backlogCount);
    this.length = storedBytes(parts) + this.own.length;
    this.byteLength = 1 + varintBytes(this.length) + this.length;
    this.heldBytes = heldBytes(parts);
  }

  /** Copies the frame to `at` of a buffer that has the room. */
  copy(target: Buffer, at: number): number {
    target[at] = DELIVERIES_TAG;
    target.set(this.own, copyStored(this.parts, target, writeVarint(target, at + 1, this.length)));
    return this.byteLength;
  }

  /** Holds little besides what it sends. A filter that takes one message of each chunk makes frames that don't. */
  get isDense(): boolean {
    return this.heldBytes <= this.byteLength + HELD_BESIDE_MAX;
  }

  /** The same in a buffer of its own. */
  toBuffer(): Buffer {
    const frame = Buffer.allocUnsafe(this.byteLength);
    this.copy(frame, 0);
    return frame;
  }
}

/** The same for people at a prompt: a payload that is UTF-8 moves into `text`. Decodes and encodes; not for speed. */
export function deliveriesTextFrame(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): Buffer {
  const response = SubscribeResponse.decode(new DeliveriesFrame(batch, parts, backlogCount).toBuffer());
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
