import { encodeMessage, ORIGIN_OFFSET_TAG } from "./message-codec.js";
import type { NewMessage } from "./message.js";
import type { Offset, WallMs } from "./units.js";
import { varintBytes, WireReader, writeVarint } from "./wire-format.js";

/** A message that goes to the end of its queue once more, for one subscriber alone. */
export interface ReplayedMessage {
  readonly message: NewMessage;
  /** The one subscriber that gets it. */
  readonly addressee: string;
  /** Where it was first published. */
  readonly originOffset: Offset;
}

/** Its bytes as stored, in a buffer of their own, offset 0: those of any message, and field 9, origin_offset, behind them. */
export function encodeReplayed({ message, originOffset }: ReplayedMessage, publishTimeMs: WallMs): Buffer {
  const plain = encodeMessage(message, publishTimeMs);
  const reader = new WireReader(plain, 0, plain.length);
  const tag = reader.tag();
  const fields = reader.bytes();
  const length = fields.length + 1 + varintBytes(originOffset);
  const target = Buffer.allocUnsafe(1 + varintBytes(length) + length);
  target[0] = tag;
  const start = writeVarint(target, 1, length);
  fields.copy(target, start);
  target[start + fields.length] = ORIGIN_OFFSET_TAG;
  writeVarint(target, start + fields.length + 1, originOffset);
  return target;
}
