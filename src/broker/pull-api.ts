import type { BatchFacts, OpenSession, SessionId, SettleFailure, Settlement } from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import type { Offset } from "../core/units.js";
import type { SessionOpened } from "./session-opened.js";
import type { LossReason } from "./session-end.js";

/** Working without a stream: leases by Pull, verdicts by Settle. */
export interface PullApi {
  /** Leases messages, to a new session or to that of an earlier pull. */
  pull(order: PullOrder): PullCall;
  /**
   * Applies verdicts on deliveries of any open session. Resolves when they are durable; rejects with SESSION_NOT_FOUND, or with what
   * ended the session before they were.
   */
  settle(session: SessionId, settlement: Settlement): Promise<SettleAnswer>;
}

/** What a Pull asks for. */
export interface PullOrder {
  /** What a new session would be. One that goes on has its own values; what is said here must not contradict them. */
  readonly open: OpenSession;
  /** The session that goes on; empty: a new one. */
  readonly sessionId: SessionId;
  /** At least 1. */
  readonly maxMessages: number;
  /** At least 1; one message always passes. */
  readonly maxBytes: number;
  /** How long to wait for a first message; 0: not at all. */
  readonly waitMs: number;
}

/** A pull that is under way. */
export interface PullCall {
  /**
   * What was leased, perhaps nothing. Rejects with BrokerError, of which SESSION_NOT_FOUND, or whatever opening a session or its end
   * brings. Stays pending when the caller has gone.
   */
  readonly answer: Promise<Pulled>;
  /** The caller has gone before it had the whole answer: what it was to get goes back as if it had not been handed out. */
  gone(reason: LossReason): void;
}

export interface Pulled {
  readonly opened: SessionOpened;
  readonly batches: readonly PulledBatch[];
}

export interface PulledBatch {
  readonly batch: BatchFacts;
  readonly parts: readonly DeliveryPart[];
  readonly backlogCount: number;
}

export interface SettleAnswer {
  readonly failures: readonly SettleFailure[];
  readonly committedOffset: Offset;
}
