import type { Retention } from "../../generated/tidemark/v1/queue.js";
import { RetentionMode as WireMode, WhenFull as WireWhenFull } from "../../generated/tidemark/v1/queue.js";
import { enumName } from "./enum-name.js";
import { safeNumber } from "./safe-number.js";
import { durationFromMs, durationToMs } from "./wire-time.js";

/**
 * What releases a message. "UNTIL_ACKED": every durable subscriber has settled it. "LOG": nothing but age and size, so that it can
 * be read again. "UNRECOGNIZED" is only answered: a mode newer than this client.
 */
export type RetentionMode = "UNTIL_ACKED" | "LOG" | "UNRECOGNIZED";

/** What gives way at `maxBytes` or `maxMessages`: the oldest messages, or those who publish. */
export type WhenFull = "DROP_OLDEST" | "REJECT_NEW" | "UNRECOGNIZED";

/** How long and how much a queue keeps. Bounds hold in both modes. */
export interface RetentionSettings {
  /** What releases a message. Default: "UNTIL_ACKED". */
  readonly retention?: RetentionMode;
  /** Older messages are dropped. 1 s to 3,650 days. Default: no bound. */
  readonly maxAgeMs?: number;
  /** How many bytes messages may take as they are stored, from 1. Default: no bound. */
  readonly maxBytes?: number;
  /** How many messages there may be, from 1. Default: no bound. */
  readonly maxMessages?: number;
  /** What gives way at `maxBytes` or `maxMessages`. Default: "DROP_OLDEST" of a log, "REJECT_NEW" otherwise. */
  readonly whenFull?: WhenFull;
}

export const RETENTION_MODES: Readonly<Record<string, WireMode>> = { UNTIL_ACKED: WireMode.UNTIL_ACKED, LOG: WireMode.LOG };
export const WHEN_FULLS: Readonly<Record<string, WireWhenFull>> = { DROP_OLDEST: WireWhenFull.DROP_OLDEST, REJECT_NEW: WireWhenFull.REJECT_NEW };

/** As the contract says it. */
export function wireRetention({ retention, maxAgeMs, maxBytes = 0, maxMessages = 0, whenFull }: RetentionSettings): Retention {
  return {
    mode: RETENTION_MODES[retention ?? ""] ?? WireMode.UNSPECIFIED,
    maxAge: maxAgeMs === undefined ? undefined : durationFromMs(maxAgeMs),
    maxBytes: BigInt(maxBytes),
    maxMessages: BigInt(maxMessages),
    whenFull: WHEN_FULLS[whenFull ?? ""] ?? WireWhenFull.UNSPECIFIED,
  };
}

/** What an answer says, which is what holds: without what is so anyway, or holds for nothing. */
export function settingsOfRetention(wire: Retention | undefined): RetentionSettings {
  if (wire === undefined) return {};
  const { mode, maxAge, maxBytes, maxMessages, whenFull } = wire;
  const isBounded = maxBytes !== 0n || maxMessages !== 0n;
  return {
    ...(mode !== WireMode.UNSPECIFIED && mode !== WireMode.UNTIL_ACKED && { retention: enumName(WireMode, mode) as RetentionMode }),
    ...(maxAge !== undefined && { maxAgeMs: durationToMs(maxAge) }),
    ...(maxBytes !== 0n && { maxBytes: safeNumber(maxBytes, "max_bytes") }),
    ...(maxMessages !== 0n && { maxMessages: safeNumber(maxMessages, "max_messages") }),
    ...(isBounded && whenFull !== WireWhenFull.UNSPECIFIED && { whenFull: enumName(WireWhenFull, whenFull) as WhenFull }),
  };
}
