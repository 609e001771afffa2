import type { Chunk } from "../chunk.js";
import type { EventFilter } from "../event-filter.js";
import type { AckMode, Claims, FlowWindow, OffsetRun, SessionId, Settlement, Sharing, StopPoint } from "../session.js";
import type { Offset } from "../units.js";
import type { Pause } from "./pause.js";
import type { DeliveryRules } from "./settings.js";

/** How one session works; fixed at open, but for `flow`. */
export interface SessionSettings {
  readonly clientId: string;
  readonly ackMode: AckMode;
  readonly flow: FlowWindow;
  readonly ackTimeoutMs: number;
  readonly stop: StopPoint;
  readonly maxBatchMessages: number;
  readonly maxBatchBytes: number;
  /** Of an ordered queue: how many messages of one lane may be in flight. At least 1. */
  readonly maxInFlightPerLane: number;
  /** The same for every session of a subscription; the caller sees to it. */
  readonly sharing: Sharing;
}

/** What happened, in the past tense: the only input of the subscription machine. */
export type Fact =
  /** What its client claims is settled now; answered by `session_ready`. Claims lie within the head. */
  | { readonly type: "session_opened"; readonly session: SessionId; readonly settings: SessionSettings; readonly claims: Claims }
  /** Answers `session_ready`: its client was told that it is open, so the session may be spoken to. */
  | { readonly type: "session_started"; readonly session: SessionId }
  /** `graceful`: half-close, drain or server stop; what is held goes back uncounted. Otherwise it counts as a hand-out without verdict. */
  | { readonly type: "session_ended"; readonly session: SessionId; readonly graceful: boolean }
  | { readonly type: "flow_changed"; readonly session: SessionId; readonly flow: FlowWindow }
  | { readonly type: "drain_requested"; readonly session: SessionId }
  | { readonly type: "settle_received"; readonly session: SessionId; readonly requestId: bigint; readonly settlement: Settlement }
  /** The transport's buffer is full (`ready: false`) or has drained (`ready: true`). */
  | { readonly type: "transport_changed"; readonly session: SessionId; readonly ready: boolean }
  /**
   * What a batch has from `first` on was never told to its client, who asked for less or has gone: it is as if it had not been
   * handed out.
   */
  | { readonly type: "hand_out_withdrawn"; readonly session: SessionId; readonly batchId: number; readonly first: Offset }
  /** AUTO only: the transport took the batch, which settles it. */
  | { readonly type: "batch_taken"; readonly session: SessionId; readonly batchId: number }
  /** Messages up to `head` are durable. */
  | { readonly type: "head_advanced"; readonly head: Offset }
  /**
   * Answers `load`: the chunk that contains the offset asked for, or the next one after it, and as many after that, ascending
   * and without a hole, as one read gave (read-ahead lets one batch span small chunks). A chunk in which the filter takes
   * nothing may come without a body. Also welcome unasked, bodies or not: a subscription without sessions advances over what its
   * filter passes, and stops before the first message that it takes.
   */
  | { readonly type: "chunks_loaded"; readonly chunks: readonly Chunk[] }
  /** Answers `load`: everything below `first` is gone (retention). */
  | { readonly type: "log_truncated"; readonly first: Offset }
  /** Answers `load`: `from..through` cannot be read. The machine passes over it, and says so in a `gap`. */
  | { readonly type: "chunk_corrupt"; readonly from: Offset; readonly through: Offset }
  /**
   * An operator, or a bound of retention, dropped everything through `through`, settled or not; it is durable, and nothing of it may be handed out any
   * more. Repeating it changes nothing. `matchingAhead`: how many messages from `next` through `through` the filter takes, if
   * that is known.
   */
  | { readonly type: "log_purged"; readonly through: Offset; readonly matchingAhead: number | undefined }
  /** Everything that the machine held when it was at `version` is durable. */
  | { readonly type: "cursor_saved"; readonly version: number }
  /** Answers `bury`: the copies are in the next cursor commit. */
  | { readonly type: "dead_letters_copied"; readonly offsets: readonly Offset[] }
  /** An operator changed how messages are handed out; `detail` says what, for every session. Blocked lanes do not outlive BLOCK_LANE. */
  | { readonly type: "settings_changed"; readonly rules: DeliveryRules; readonly detail: string }
  /** An operator changed the filter: from `next` on it is this one. `detail` says so to every session. */
  | { readonly type: "filter_changed"; readonly filter: EventFilter; readonly detail: string }
  /**
   * An operator moved the subscriber: everything up to `after` counts as settled, beyond it what `settled` says, and nothing
   * else. What sessions hold is lost to them. `detail` says so to every session.
   */
  | { readonly type: "position_moved"; readonly after: Offset; readonly settled: readonly OffsetRun[]; readonly detail: string }
  /** An operator paused the subscriber, or ended its pause (undefined); `detail` says so to every session. */
  | { readonly type: "pause_changed"; readonly pause: Pause | undefined; readonly detail: string }
  /** Answers `take_turn`: a later turn has begun. */
  | { readonly type: "turn_came" }
  /** The clock reached `nextWake`. */
  | { readonly type: "time_passed" };
