import { encodeMessage } from "../core/message-codec.js";
import type { NewMessage } from "../core/message.js";
import { offset, wallMs } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import type { Put, State } from "../ports/state.js";
import { encodeRecord, JsonRecord, RecordCorrupt } from "./json-record.js";
import { DUE_KEY, scheduledKey, scheduleFactsKey } from "./state-keys.js";
import type { SchedulePlace } from "./state-keys.js";

const FACTS_FORMAT = 1;
const FACTS_BYTES = 29;
/** Length of the JSON part, before it. */
const LENGTH_BYTES = 4;
/** It has none before it is in the log. */
const NO_TIME = wallMs(0);

/** A message that is put off, without its bytes. */
export interface ScheduleFacts {
  readonly acceptTimeMs: WallMs;
  /** `messageIdHash` of its id; 0n without one. */
  readonly messageIdHash: bigint;
  readonly fingerprint: bigint;
  /** Of its record. */
  readonly bytes: number;
}

/** A message that is put off, as it is kept: `u32 length, JSON, message bytes`. */
export interface ScheduledRecord {
  readonly acceptTimeMs: WallMs;
  /** Counted from its publish time, which it gets when it is due. */
  readonly ttlMs: number | undefined;
  /** As it would be stored in the log: field 1 of Deliveries with tag and length, offset and publish time 0. */
  readonly message: Buffer;
}

/** A message that is put off, on its way into the state. */
export interface NewScheduled extends SchedulePlace {
  readonly message: NewMessage;
  readonly acceptTimeMs: WallMs;
  readonly messageIdHash: bigint;
  readonly fingerprint: bigint;
}

/** Its two records, as parts of one commit. */
export function scheduledPuts(scheduled: NewScheduled): readonly Put[] {
  const { acceptTimeMs, messageIdHash, fingerprint, message } = scheduled;
  const { ttlMs, ...untimed } = message;
  const json = encodeRecord({ acceptTimeMs, ttlMs });
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(json.length);
  const value = Buffer.concat([length, json, encodeMessage(untimed, NO_TIME)]);
  const facts = encodeFacts({ acceptTimeMs, messageIdHash, fingerprint, bytes: value.length });
  return [
    { key: scheduledKey(scheduled), value, expect: "any" },
    { key: scheduleFactsKey(scheduled), value: facts, expect: "any" },
  ];
}

/** Takes both records away. */
export function scheduledDeletions(place: SchedulePlace): readonly Put[] {
  return [
    { key: scheduledKey(place), value: null, expect: "any" },
    { key: scheduleFactsKey(place), value: null, expect: "any" },
  ];
}

/** RecordCorrupt on bytes that `scheduledPuts` did not make. `message` is a view of `bytes`. */
export function decodeScheduled(bytes: Buffer): ScheduledRecord {
  if (bytes.length < LENGTH_BYTES) throw new RecordCorrupt("a message that is put off is cut short");
  const end = LENGTH_BYTES + bytes.readUInt32LE(0);
  if (end > bytes.length) throw new RecordCorrupt("a message that is put off is cut short");
  const record = new JsonRecord(bytes.subarray(LENGTH_BYTES, end), "a message that is put off");
  return { acceptTimeMs: wallMs(record.count("acceptTimeMs")), ttlMs: record.optionalNumber("ttlMs"), message: bytes.subarray(end) };
}

/** As `decodeScheduled`, of the smaller record. */
export function decodeScheduleFacts(bytes: Buffer): ScheduleFacts {
  if (bytes.length !== FACTS_BYTES || bytes[0] !== FACTS_FORMAT) throw new RecordCorrupt(`the facts of a message that is put off have ${bytes.length} bytes and format ${bytes[0] ?? "none"}; this version reads ${FACTS_BYTES} of format ${FACTS_FORMAT}`);
  return { acceptTimeMs: wallMs(bytes.readDoubleLE(1)), messageIdHash: bytes.readBigUInt64LE(9), fingerprint: bytes.readBigUInt64LE(17), bytes: bytes.readUInt32LE(25) };
}

function encodeFacts({ acceptTimeMs, messageIdHash, fingerprint, bytes }: ScheduleFacts): Buffer {
  const facts = Buffer.alloc(FACTS_BYTES);
  facts[0] = FACTS_FORMAT;
  facts.writeDoubleLE(acceptTimeMs, 1);
  facts.writeBigUInt64LE(messageIdHash, 9);
  facts.writeBigUInt64LE(fingerprint, 17);
  facts.writeUInt32LE(bytes, 25);
  return facts;
}

/**
 * From where on messages that became due may be in the log while their records are still there; 0: none is. A message in the log
 * says its number in the schedule, so that after a crash the log tells which records have to go.
 */
export async function readDueFrom(state: State): Promise<Offset> {
  const entry = await state.get(DUE_KEY);
  return offset(entry === undefined ? 0 : new JsonRecord(entry.value, "the record of what became due").count("from"));
}

/** The record as a part of a commit. */
export function dueFromPut(from: Offset): Put {
  return { key: DUE_KEY, value: encodeRecord({ from }), expect: "any" };
}
