import { BrokerError } from "../core/errors.js";
import type { ErrorReason, StatusName } from "../core/errors.js";
import type { SessionId } from "../core/session.js";

/** Why a session ended. */
export type LeaveReason =
  | "HALF_CLOSED"
  | "DRAINED"
  | "STOP_REACHED"
  | "CANCELLED"
  | "CONNECTION_LOST"
  | "CLIENT_TIMEOUT"
  | "DISCONNECTED"
  | "REPLACED"
  | "QUEUE_DELETED"
  | "SUBSCRIBER_DELETED"
  | "SERVER_STOPPING"
  | "LEASES_OVER"
  | "CLIENT_ERROR"
  | "SERVER_ERROR";

/** How a stream goes away under its session. */
export type LossReason = Extract<LeaveReason, "CANCELLED" | "CONNECTION_LOST">;

/** The end of a session, said where it is known and passed on as it is. */
export interface SessionEnd {
  readonly reason: LeaveReason;
  /** The same for people: the error that the client got, the words of the operator. May be empty. */
  readonly detail: string;
  /** What the stream ends with; undefined: OK, or the stream is gone already. */
  readonly error: BrokerError | undefined;
}

/** An end without an error: the client wanted it, or is not there to be told. */
export function plainEnd(reason: LeaveReason): SessionEnd {
  return { reason, detail: "", error: undefined };
}

/** The end of a session whose stream ends with this error. */
export function endWith(error: BrokerError): SessionEnd {
  return { reason: BY_ERROR[error.reason] ?? BY_STATUS[error.status], detail: error.message, error };
}

/** What the session held goes back uncounted; otherwise it counts as handed out without a verdict. */
export function isGraceful(reason: LeaveReason): boolean {
  return GRACEFUL.has(reason);
}

/** Nobody has this session, any more or yet. */
export function sessionNotFound(session: SessionId): BrokerError {
  return new BrokerError("SESSION_NOT_FOUND", `no session ${session} is open: it has ended, or never was; list the clients to see who is there`, { session_id: session });
}

/** When a client that was sent away may try again: by then another process may listen. */
export const RECONNECT_AFTER_MS = 1_000;

export function drainingError(): BrokerError {
  return new BrokerError("DRAINING", "the server is stopping: connect again, here or elsewhere", {}, RECONNECT_AFTER_MS);
}

export function silentTooLong(clientTimeoutMs: number): BrokerError {
  return new BrokerError("CLIENT_TIMEOUT", `no frame came for ${clientTimeoutMs} ms, the client_timeout of this session: send a ping more often`, {
    client_timeout_ms: String(clientTimeoutMs),
  });
}

const GRACEFUL: ReadonlySet<LeaveReason> = new Set<LeaveReason>([
  "HALF_CLOSED",
  "DRAINED",
  "STOP_REACHED",
  "QUEUE_DELETED",
  "SUBSCRIBER_DELETED",
  "SERVER_STOPPING",
  "LEASES_OVER",
]);

const BY_ERROR: Readonly<Partial<Record<ErrorReason, LeaveReason>>> = {
  QUEUE_DELETED: "QUEUE_DELETED",
  SUBSCRIBER_DELETED: "SUBSCRIBER_DELETED",
  DRAINING: "SERVER_STOPPING",
  CLIENT_TIMEOUT: "CLIENT_TIMEOUT",
  DISCONNECTED: "DISCONNECTED",
  REPLACED: "REPLACED",
};

/** Whose fault any other error is. */
const BY_STATUS: Readonly<Record<StatusName, LeaveReason>> = {
  INVALID_ARGUMENT: "CLIENT_ERROR",
  NOT_FOUND: "CLIENT_ERROR",
  ALREADY_EXISTS: "CLIENT_ERROR",
  FAILED_PRECONDITION: "CLIENT_ERROR",
  OUT_OF_RANGE: "CLIENT_ERROR",
  RESOURCE_EXHAUSTED: "CLIENT_ERROR",
  ABORTED: "CLIENT_ERROR",
  UNIMPLEMENTED: "CLIENT_ERROR",
  UNAVAILABLE: "SERVER_ERROR",
  DATA_LOSS: "SERVER_ERROR",
  INTERNAL: "SERVER_ERROR",
};
