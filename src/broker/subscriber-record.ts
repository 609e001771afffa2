import type { StartPoint } from "../core/session.js";
import type { Pause } from "../core/subscription/pause.js";
import { offset, wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import { encodeRecord, JsonRecord, RecordCorrupt } from "./json-record.js";
import { settingsIn } from "./settings-record.js";
import { SUBSCRIBER_FIELDS } from "./subscriber-settings.js";
import type { OwnSubscriberSettings, SubscriberField } from "./subscriber-settings.js";

const FIELDS = Object.keys(SUBSCRIBER_FIELDS) as readonly SubscriberField[];

/** What is set for a durable subscriber. */
export interface SubscriberRecord {
  readonly name: string;
  /** Its filter's patterns, sorted; empty: everything. */
  readonly events: readonly string[];
  readonly createTimeMs: WallMs;
  /** Where it began, as asked for or by default. */
  readonly start: StartPoint;
  /** A record made before subscribers had settings has none. */
  readonly own: OwnSubscriberSettings;
  /** Undefined: it was not paused. A pause that is over by itself may still stand here. */
  readonly pause: Pause | undefined;
}

export function encodeSubscriberRecord({ events, createTimeMs, start, own, pause }: SubscriberRecord): Buffer {
  const startOffset = start.kind === "after_offset" ? start.offset : 0;
  return encodeRecord({
    ...{ events, createTimeMs, start: start.kind, startOffset, ...own },
    ...(pause !== undefined && { pausedUntilMs: pause.resumeTimeMs ?? 0 }),
    ...(start.kind === "from_time" && { startTimeMs: start.timeMs }),
  });
}

/** RecordCorrupt on bytes that `encodeSubscriberRecord` did not make. */
export function decodeSubscriberRecord(name: string, bytes: Buffer): SubscriberRecord {
  const record = new JsonRecord(bytes, `the record of subscriber ${name}`);
  const pausedUntilMs = record.optionalNumber("pausedUntilMs");
  return {
    name,
    events: record.texts("events"),
    createTimeMs: wallMs(record.count("createTimeMs")),
    start: startPoint(name, record),
    own: settingsIn(`subscriber ${name}`, record, FIELDS),
    pause: pausedUntilMs === undefined ? undefined : { resumeTimeMs: pausedUntilMs === 0 ? undefined : wallMs(pausedUntilMs) },
  };
}

/** Whether two starts are the same wish. */
export function sameStart(a: StartPoint, b: StartPoint): boolean {
  if (a.kind === "after_offset" && b.kind === "after_offset") return a.offset === b.offset;
  if (a.kind === "from_time" && b.kind === "from_time") return a.timeMs === b.timeMs;
  return a.kind === b.kind;
}

/** A start in words, for messages. */
export function startText(start: StartPoint): string {
  if (start.kind === "from_time") return `at ${new Date(start.timeMs).toISOString()}`;
  return start.kind === "after_offset" ? `after offset ${start.offset}` : start.kind;
}

function startPoint(name: string, record: JsonRecord): StartPoint {
  const kind = record.text("start");
  const startOffset = offset(record.count("startOffset"));
  if (kind === "earliest" || kind === "latest") return { kind };
  if (kind === "after_offset") return { kind, offset: startOffset };
  if (kind === "from_time") return { kind, timeMs: wallMs(record.count("startTimeMs")) };
  throw new RecordCorrupt(`subscriber ${name} has the unknown start ${kind}`);
}
