/**
 * Where records live in the one key space of the store. Every key is
 *
 *     16 bytes  owner: the first half of SHA-256 of the queue id; zeros for what belongs to no queue
 *      1 byte   kind
 *      n bytes  rest, by kind
 *
 * so that a queue is one contiguous range, and each kind in it another. Offsets are big-endian: keys sort as they do.
 */
import { createHash } from "node:crypto";
import { offset } from "../../core/units.js";
import type { Offset } from "../../core/units.js";
import type { QueueId } from "../../ports/engine.js";

const OWNER_BYTES = 16;
const OFFSET_KEY_BYTES = OWNER_BYTES + 1 + 8;
const TWO_POW_32 = 0x1_0000_0000;

/** What kind of record a key names; part of the disk format. */
export const KIND = { format: 0, header: 1, body: 2, state: 3, dropped: 4 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** The first part of all keys of one queue. */
export type Owner = Buffer;

/** Owns the catalog, the format record and the marks of queues being dropped. */
export const NO_QUEUE: Owner = Buffer.alloc(OWNER_BYTES);

export function ownerOf(queue: QueueId): Owner {
  return createHash("sha256").update(queue).digest().subarray(0, OWNER_BYTES);
}

/** The key of a header or body, by the first offset of its chunk. Offset 0 is before all. */
export function chunkKey(owner: Owner, kind: Kind, first: number): Buffer {
  const key = Buffer.allocUnsafe(OFFSET_KEY_BYTES);
  owner.copy(key);
  key[OWNER_BYTES] = kind;
  key.writeUInt32BE(Math.floor(first / TWO_POW_32), OWNER_BYTES + 1);
  key.writeUInt32BE(first % TWO_POW_32, OWNER_BYTES + 5);
  return key;
}

/** The offset in a key that `chunkKey` made. */
export function offsetOfKey(key: Buffer): Offset {
  return offset(key.readUInt32BE(OWNER_BYTES + 1) * TWO_POW_32 + key.readUInt32BE(OWNER_BYTES + 5));
}

/** The key of a state entry, of the format record or of a mark; `rest` is bytes in latin1. */
export function textKey(owner: Owner, kind: Kind, rest: string): Buffer {
  const key = Buffer.allocUnsafe(OWNER_BYTES + 1 + rest.length);
  owner.copy(key);
  key[OWNER_BYTES] = kind;
  key.write(rest, OWNER_BYTES + 1, "latin1");
  return key;
}

/** The rest of a key that `textKey` made. */
export function textOfKey(key: Buffer): string {
  return key.toString("latin1", OWNER_BYTES + 1);
}

/** The range of one kind of an owner's records: from the first, up to but not with the second. */
export function kindRange(owner: Owner, kind: Kind): readonly [Buffer, Buffer] {
  return [textKey(owner, kind, ""), Buffer.concat([owner, Buffer.from([kind + 1])])];
}

/** The range of all records of one queue. */
export function ownerRange(owner: Owner): readonly [Buffer, Buffer] {
  return [owner, Buffer.concat([owner, Buffer.from([0xff])])];
}
