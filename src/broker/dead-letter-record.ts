import type { DeadLetter } from "../core/subscription/effects.js";
import { wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import { encodeRecord, JsonRecord, RecordCorrupt } from "./json-record.js";

/** Length of the JSON part, before it. */
const LENGTH_BYTES = 4;

/** A message that a subscriber could not handle, as it is kept: `u32 length, JSON, message bytes`. */
export interface DeadLetterRecord {
  readonly reason: string;
  readonly detail: string;
  readonly attempts: number;
  readonly deliveries: number;
  readonly holderSession: string;
  readonly holderClient: string;
  readonly deadLetterTimeMs: WallMs;
  /** As stored in the log: field 1 of Deliveries with tag and length. Empty when it could not be read any more. */
  readonly message: Buffer;
}

export function encodeDeadLetter(deadLetter: DeadLetter, deadLetterTimeMs: WallMs, message: Buffer): Buffer {
  const { reason, detail, attempts, deliveries, holderSession, holderClient } = deadLetter;
  const facts = encodeRecord({ reason, detail, attempts, deliveries, holderSession, holderClient, deadLetterTimeMs });
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(facts.length);
  return Buffer.concat([length, facts, message]);
}

/** RecordCorrupt on bytes that `encodeDeadLetter` did not make. `message` is a view of `bytes`. */
export function decodeDeadLetter(bytes: Buffer): DeadLetterRecord {
  if (bytes.length < LENGTH_BYTES) throw new RecordCorrupt("a dead letter is cut short");
  const end = LENGTH_BYTES + bytes.readUInt32LE(0);
  if (end > bytes.length) throw new RecordCorrupt("a dead letter is cut short");
  const record = new JsonRecord(bytes.subarray(LENGTH_BYTES, end), "a dead letter");
  return {
    reason: record.text("reason"),
    detail: record.text("detail"),
    attempts: record.count("attempts"),
    deliveries: record.count("deliveries"),
    holderSession: record.text("holderSession"),
    holderClient: record.text("holderClient"),
    deadLetterTimeMs: wallMs(record.count("deadLetterTimeMs")),
    message: bytes.subarray(end),
  };
}
