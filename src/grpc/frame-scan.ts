import type { EncodedMessages } from "../core/encoded-messages.js";
import { LIMITS } from "../core/limits.js";
import { ADDED_BYTES_MAX } from "./from-wire.js";
import { MessageScan } from "./message-scan.js";
import { ScanCursor } from "./scan-cursor.js";

/** Tags of `PublishStreamRequest`. */
const TAG_REQUEST_ID = 0x08;
const TAG_QUEUE = 0x12;
const TAG_MESSAGE = 0x1a;
const TAG_RESUME = 0x20;
const TAG_HALT_ON_FAILURE = 0x28;
const TAG_INDEPENDENT = 0x30;

/** A frame of a PublishStream, its messages still encoded. */
export interface ScannedFrame {
  readonly requestId: bigint;
  readonly queue: string;
  readonly messages: EncodedMessages;
  readonly resume: boolean;
  readonly haltOnFailure: boolean;
  readonly independent: boolean;
}

/**
 * Reads a frame in one pass, without decoding its messages, if it is as most are: every field at most once, its messages valid,
 * without ids, and encoded just as they are stored. Undefined for any other frame, the invalid ones among them: those are
 * decoded, and answered in full.
 */
export function scanFrame(bytes: Buffer): ScannedFrame | undefined {
  const cursor = new ScanCursor(bytes);
  const scan = new MessageScan(cursor);
  let requestId = 0;
  let queue = "";
  let resume = false;
  let haltOnFailure = false;
  let independent = false;
  while (cursor.at < bytes.length) {
    const tag = bytes[cursor.at++];
    if (tag === TAG_MESSAGE) {
      if (!scan.add(bytes.length)) return undefined;
    } else if (tag === TAG_QUEUE && queue === "") {
      const length = cursor.ascii(bytes.length, LIMITS.nameLengthMax);
      if (length <= 0) return undefined;
      queue = bytes.toString("latin1", cursor.at - length, cursor.at);
    } else if (tag === TAG_REQUEST_ID && requestId === 0) {
      requestId = cursor.number();
      if (requestId < 0) return undefined;
    } else if (tag === TAG_RESUME && bytes[cursor.at++] === 1) {
      resume = true;
    } else if (tag === TAG_HALT_ON_FAILURE && bytes[cursor.at++] === 1) {
      haltOnFailure = true;
    } else if (tag === TAG_INDEPENDENT && bytes[cursor.at++] === 1) {
      independent = true;
    } else {
      return undefined;
    }
  }
  const messages = scan.messages();
  if (messages === undefined || queue === "" || bytes.length + messages.length * ADDED_BYTES_MAX > LIMITS.batchBytesMax) return undefined;
  return { requestId: BigInt(requestId), queue, messages, resume, haltOnFailure, independent };
}
