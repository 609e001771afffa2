import type { FlowWindow, SessionId } from "../core/session.js";
import type { Offset } from "../core/units.js";

/** Who a session is that was opened, and what holds for it. */
export interface SessionOpened {
  readonly sessionId: SessionId;
  readonly queueId: string;
  readonly committedOffset: Offset;
  readonly headOffset: Offset;
  readonly backlogCount: number;
  readonly deadLetterCount: number;
  readonly ordered: boolean;
  readonly ackTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly flow: FlowWindow;
  readonly events: readonly string[];
  readonly maxAttempts: number;
  readonly created: boolean;
  readonly standby: boolean;
  readonly maxUnsettled: number;
}
