import type { Chunk } from "../chunk.js";
import type { BatchFacts, DeliveryCause, DeliveryRun, OffsetRun, SessionId, SettleFailure } from "../session.js";
import type { Offset } from "../units.js";

/** A stretch of one loaded chunk, by message index. Its bytes go out as they are stored. */
export interface DeliveryPart {
  readonly chunk: Chunk;
  readonly firstIndex: number;
  readonly count: number;
}

/** A message on its way to the dead letters, and why. */
export interface DeadLetter {
  readonly offset: Offset;
  readonly reason: "REJECTED" | "MAX_ATTEMPTS" | "MAX_DELIVERIES" | "EXPIRED";
  /** The consumer's own words; empty when it gave none. */
  readonly detail: string;
  readonly attempts: number;
  readonly deliveries: number;
  /** Empty where nobody held it. */
  readonly holderSession: SessionId;
  readonly holderClient: string;
}

/** What to do, as commands, in order: the only output of the subscription machine. */
export type Effect =
  /** There is more to do than this turn allows. Answer with `turn_came` in a later one. At most one is outstanding. */
  | { readonly type: "take_turn" }
  /** Answer with `chunks_loaded`, `log_truncated` or `chunk_corrupt`. At most one is outstanding. */
  | { readonly type: "load"; readonly from: Offset }
  | { readonly type: "deliver"; readonly session: SessionId; readonly batch: BatchFacts; readonly parts: readonly DeliveryPart[]; readonly messages: number; readonly bytes: number }
  /** These deliveries are lost to the session, uncounted: a message before them in their lane came back, or the subscriber was moved (SEEK). */
  | { readonly type: "recall"; readonly session: SessionId; readonly ranges: readonly DeliveryRun[]; readonly cause: DeliveryCause }
  /**
   * The cursor changed. Commit `encodeCursor()` and answer `cursor_saved` with the version encoded. One commit in flight a
   * cursor. `urgent`: somebody waits for it, with the next group commit; otherwise within 100 ms.
   */
  | { readonly type: "save_cursor"; readonly urgent: boolean }
  /** What the session's client claimed is durable. Tell the client that the session is open, and answer `session_started`. */
  | { readonly type: "session_ready"; readonly session: SessionId }
  /** The cursor behind these settles is durable. */
  | { readonly type: "confirm"; readonly session: SessionId; readonly requestIds: readonly bigint[]; readonly failures: readonly SettleFailure[]; readonly committedOffset: Offset }
  /** Read the messages, put the copies into the next cursor commit, and answer `dead_letters_copied` in the same turn as that commit is filled. */
  | { readonly type: "bury"; readonly deadLetters: readonly DeadLetter[] }
  | { readonly type: "gap"; readonly session: SessionId; readonly first: Offset; readonly last: Offset; readonly matchingCount: number }
  | { readonly type: "notice"; readonly session: SessionId; readonly reason: NoticeReason; readonly detail: string; readonly range: OffsetRun | undefined }
  /** The session reached its stop or finished draining: end its stream with OK. The driver then reports `session_ended`. */
  | { readonly type: "finish_session"; readonly session: SessionId };

export type NoticeReason = "CAUGHT_UP" | "DEAD_LETTERED" | "TAKEN_OVER" | "SETTINGS_CHANGED" | "LANE_BLOCKED" | "POSITION_MOVED";
