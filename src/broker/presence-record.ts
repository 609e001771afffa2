import type { ClientPresence } from "../core/client-absence.js";
import { wallMs } from "../core/units.js";
import { encodeRecord, JsonRecord } from "./json-record.js";

/** When the last client left: 0 for never, nothing while one is connected. */
export function encodePresence(presence: ClientPresence): Buffer {
  if (presence.kind === "connected") return encodeRecord({});
  return encodeRecord({ leftTimeMs: presence.kind === "never" ? 0 : presence.timeMs });
}

/** RecordCorrupt on bytes that `encodePresence` did not make. */
export function decodePresence(subscriber: string, bytes: Buffer): ClientPresence {
  const leftTimeMs = new JsonRecord(bytes, `the record of the clients of subscriber ${subscriber}`).optionalNumber("leftTimeMs");
  if (leftTimeMs === undefined) return { kind: "connected" };
  return leftTimeMs === 0 ? { kind: "never" } : { kind: "left", timeMs: wallMs(leftTimeMs) };
}
