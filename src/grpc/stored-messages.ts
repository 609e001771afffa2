import { isUtf8 } from "node:buffer";
import type { Message } from "../../generated/tidemark/v1/message.js";
import { messageStart } from "../core/chunk.js";
import type { Chunk } from "../core/chunk.js";
import type { DeliveryPart } from "../core/subscription/effects.js";

/** Bytes of the messages of these stretches, which are whole fields 1 with tag and length. */
export function storedBytes(parts: readonly DeliveryPart[]): number {
  let bytes = 0;
  for (const part of parts) bytes += partEnd(part) - messageStart(part.chunk, part.firstIndex);
  return bytes;
}

/** Bytes of the chunks that these stretches are of, which are in the order of their chunks. */
export function heldBytes(parts: readonly DeliveryPart[]): number {
  let bytes = 0;
  let before: Chunk | undefined;
  for (const part of parts) {
    if (part.chunk !== before) bytes += partBody(part).length;
    before = part.chunk;
  }
  return bytes;
}

/** Copies the messages as they are stored to `at` of a frame, which has the room, and returns where they end. */
export function copyStored(parts: readonly DeliveryPart[], frame: Buffer, at: number): number {
  let end = at;
  for (const part of parts) end += partBody(part).copy(frame, end, messageStart(part.chunk, part.firstIndex), partEnd(part));
  return end;
}

/** For people at a prompt: a payload that is UTF-8 moves into `text`. */
export function showAsText(messages: readonly Message[]): void {
  for (const message of messages) {
    if (!isUtf8(message.payload)) continue;
    message.text = message.payload.toString();
    message.payload = Buffer.alloc(0);
  }
}

function partEnd(part: DeliveryPart): number {
  return messageStart(part.chunk, part.firstIndex + part.count);
}

function partBody(part: DeliveryPart): Buffer {
  const { body, first, last } = part.chunk;
  if (body === undefined) throw new Error(`the chunk ${first} to ${last} is to be sent and came without its body`);
  return body;
}
