import type { BrokerError } from "../core/errors.js";
import type { AckMode, FlowWindow, SessionId, SessionKind, Sharing, WaitingFor } from "../core/session.js";
import type { WallMs } from "../core/units.js";
import type { LeaveReason } from "./session-end.js";

export interface ClientInfo {
  readonly sessionId: SessionId;
  readonly kind: SessionKind;
  readonly clientId: string;
  readonly peer: string;
  readonly queue: string;
  /** Empty: ephemeral. */
  readonly subscriber: string;
  readonly events: readonly string[];
  readonly ackMode: AckMode;
  /** It asked for no more deliveries. */
  readonly draining: boolean;
  readonly sharing: Sharing;
  /** Another session of an exclusive subscriber works in its place. */
  readonly standby: boolean;
  readonly flow: FlowWindow;
  readonly inFlightCount: number;
  readonly inFlightBytes: number;
  /** What its subscriber has not delivered yet, as far as counted. */
  readonly backlogCount: number;
  /** Why nothing goes out to it; undefined: something is on its way. */
  readonly waitingFor: WaitingFor | undefined;
  readonly connectTimeMs: WallMs;
  /** When the last frame came. */
  readonly lastFrameTimeMs: WallMs;
  readonly labels: ReadonlyMap<string, string>;
  /** Which gRPC library, as it says itself; may be empty. */
  readonly userAgent: string;
}

/** Which sessions are watched: of one queue, of one durable subscriber of it, or all. */
export interface ClientFilter {
  readonly queue: string | undefined;
  readonly subscriber: string | undefined;
}

/** The end of a session, told to whoever watches. */
export interface ClientLeft {
  readonly type: "left";
  /** As it was last. */
  readonly client: ClientInfo;
  readonly reason: LeaveReason;
  /** For people; may be empty. */
  readonly detail: string;
  readonly leaveTimeMs: WallMs;
}

/** One thing that a watch of clients tells. */
export type ClientNews =
  | { readonly type: "joined" | "changed"; readonly client: ClientInfo }
  | ClientLeft
  /** The sessions of the start are complete: so many were told. */
  | { readonly type: "listed"; readonly count: number }
  /** The last thing of all. */
  | { readonly type: "over"; readonly error: BrokerError };

/**
 * A watch of clients. What is not taken waits, one thing for each session at most: its newest state, or its end. When more ends
 * wait than sessions can be open, the watch is over with WATCH_BACKLOG.
 */
export interface ClientWatch {
  /** The next thing to tell; undefined: nothing now. */
  take(): ClientNews | undefined;
  /** Nothing more is wanted. */
  stop(): void;
}
