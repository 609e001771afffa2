import { type ServiceError, status } from "@grpc/grpc-js";
import { decodeStatusDetails } from "./status-details.js";

/** The name of a gRPC status code, such as "UNAVAILABLE". */
export type StatusName = keyof typeof status;

/**
 * Every failure that this client reports. Branch on `code` and `reason`; `message` is for people and may change.
 *
 * Reasons made by the client itself, all others are the broker's:
 * - `NOT_CONNECTED`: no connection came about in time, nothing was sent.
 * - `OUTCOME_UNKNOWN`: the connection broke before the answer came; it may or may not have happened.
 * - `CLIENT_CLOSED`: this client was closed before.
 * - `LEASE_LOST`, `NOT_HELD`, `ALREADY_SETTLED`: a delivery could not be settled.
 * - `INVALID_FIELD`: an argument that cannot be sent.
 * - `NUMBER_TOO_LARGE`: the broker sent an integer beyond 2^53 - 1.
 */
export class TidemarkError extends Error {
  override readonly name = "TidemarkError";

  /**
   * @param code the gRPC status code by name
   * @param reason UPPER_SNAKE; empty when the failure comes from the transport and not from the broker
   * @param message what was wrong, for people
   * @param metadata the same for programs: field, value, limit, …
   * @param retryAfterMs set exactly when the broker says that the same call may succeed after that many milliseconds
   */
  constructor(
    readonly code: StatusName,
    readonly reason: string,
    message: string,
    readonly metadata: Readonly<Record<string, string>> = {},
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** From what a call of grpc-js failed with. */
  static fromCall(error: ServiceError): TidemarkError {
    const trailer = error.metadata.get("grpc-status-details-bin")[0];
    const details = decodeStatusDetails(typeof trailer === "string" ? undefined : trailer);
    return new TidemarkError(statusName(error.code), details.reason, error.details, details.metadata, details.retryAfterMs, { cause: error });
  }
}

/** The name of a status number; "UNKNOWN" for one that gRPC does not define. */
export function statusName(code: number): StatusName {
  return code in status ? (status[code] as StatusName) : "UNKNOWN";
}

/**
 * Whether a stream that ended with this error may be opened again. The broker says so by RetryInfo; what the transport made
 * up (no reason) counts as passing when its code usually is.
 */
export function isPassing(error: TidemarkError): boolean {
  if (error.retryAfterMs !== undefined || error.code === "UNAVAILABLE") return true;
  if (error.reason === "CLIENT_TIMEOUT" || error.reason === "OPEN_TIMEOUT") return true;
  return error.reason === "" && PASSING_TRANSPORT_CODES.has(error.code);
}

const PASSING_TRANSPORT_CODES: ReadonlySet<StatusName> = new Set<StatusName>([
  "CANCELLED",
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "RESOURCE_EXHAUSTED",
  "ABORTED",
  "INTERNAL",
]);

/** Whether the call was turned away as a whole, before any of it was looked at. */
export function isRefusal(error: TidemarkError): boolean {
  return error.code === "UNIMPLEMENTED" || error.code === "UNAUTHENTICATED" || error.code === "PERMISSION_DENIED";
}

/** The call broke (`cause`) before its answer came; `advice` says what that means. */
export function outcomeUnknown(cause: TidemarkError, advice = "a message with a messageId is safe to publish again"): TidemarkError {
  const message = `the connection broke before the broker answered, so it may or may not have happened (${cause.message}); ${advice}`;
  return new TidemarkError(cause.code, "OUTCOME_UNKNOWN", message, cause.metadata, cause.retryAfterMs, { cause });
}

/** The application closed this client before. */
export function clientClosed(): TidemarkError {
  return new TidemarkError("CANCELLED", "CLIENT_CLOSED", "this client is closed; connect() makes another one");
}
