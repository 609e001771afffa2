import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Deliveries, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import { behindBytes, behindVarint, isPlainMessage, lengthAt } from "./message-bytes.js";

/** Tag of SubscribeResponse.deliveries. */
const TAG_DELIVERIES = 0x0a;
/** Tag of Deliveries.messages. */
const TAG_MESSAGE = 0x0a;

/** A Deliveries frame whose messages are still the bytes that came. */
export interface DeliveriesFrame {
  /** The batch's own fields; `messages` is empty. */
  readonly batch: Deliveries;
  readonly bytes: Buffer;
  /** Where each message starts in `bytes` and where it ends, in turn. */
  readonly bounds: readonly number[];
}

/** What came over a Subscribe stream; no frame: of a kind that only newer brokers send. */
export interface SubscribeFrame {
  readonly frame: Exclude<SubscribeResponse["frame"], { readonly $case: "deliveries" }> | { readonly $case: "deliveries"; readonly value: DeliveriesFrame };
}

/**
 * Reads a SubscribeResponse. Messages are only looked over, so that what nobody asks for is never made: a delivery reads its
 * fields when they are asked for. That is for bytes of the usual shape; any other the generated code decodes, and refuses.
 */
export function readSubscribeFrame(bytes: Buffer): SubscribeFrame {
  const usual = bytes[0] === TAG_DELIVERIES ? plainDeliveries(bytes) : undefined;
  if (usual !== undefined) return { frame: { $case: "deliveries", value: usual } };
  const { frame } = SubscribeResponse.decode(bytes);
  if (frame?.$case !== "deliveries") return { frame };
  const value = plainDeliveries(Buffer.from(SubscribeResponse.encode({ frame }).finish()));
  if (value === undefined) throw new Error("a Deliveries frame does not have the shape in which it was encoded");
  return { frame: { $case: "deliveries", value } };
}

/** The frame, if it is one Deliveries with its messages first and known fields only, as brokers write it. */
function plainDeliveries(bytes: Buffer): DeliveriesFrame | undefined {
  const end = behindBytes(bytes, 1);
  if (end !== bytes.length) return undefined;
  const bounds: number[] = [];
  let at = behindVarint(bytes, 1);
  while (at < end && bytes[at] === TAG_MESSAGE) {
    const first = behindVarint(bytes, at + 1);
    const behind = first + lengthAt(bytes, at + 1);
    if (behind > end || !isPlainMessage(bytes, first, behind)) return undefined;
    bounds.push(first, behind);
    at = behind;
  }
  const rest = new BinaryReader(bytes.subarray(at, end));
  const batch = Deliveries.decode(rest);
  // The generated code stops at a tag that no field can have, without a word.
  return rest.pos === rest.len && batch.messages.length === 0 ? { batch, bytes, bounds } : undefined;
}
