/** gRPC's canonical codes by name; the edge knows the numbers. */
export type StatusName =
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "OUT_OF_RANGE"
  | "RESOURCE_EXHAUSTED"
  | "ABORTED"
  | "UNIMPLEMENTED"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "INTERNAL";

/** The one table from reason to status. Reasons are API: clients branch on them, never on message text. */
export const ERROR_REASONS = {
  INVALID_FIELD: "INVALID_ARGUMENT",
  UNDECODABLE: "INVALID_ARGUMENT",
  MESSAGE_TOO_LARGE: "INVALID_ARGUMENT",
  BATCH_TOO_LARGE: "INVALID_ARGUMENT",
  OPEN_EXPECTED: "INVALID_ARGUMENT",
  ALREADY_OPEN: "INVALID_ARGUMENT",
  REPEATED_MESSAGE_ID: "INVALID_ARGUMENT",
  QUEUE_NOT_FOUND: "NOT_FOUND",
  QUEUE_DELETED: "NOT_FOUND",
  SUBSCRIBER_NOT_FOUND: "NOT_FOUND",
  SUBSCRIBER_DELETED: "NOT_FOUND",
  SESSION_NOT_FOUND: "NOT_FOUND",
  SCHEDULE_NOT_FOUND: "NOT_FOUND",
  QUEUE_EXISTS: "ALREADY_EXISTS",
  SUBSCRIBER_EXISTS: "ALREADY_EXISTS",
  MESSAGE_ID_REUSED: "ALREADY_EXISTS",
  PARTIAL_DUPLICATE: "ALREADY_EXISTS",
  UNEXPECTED_LAST_OFFSET: "FAILED_PRECONDITION",
  START_MISMATCH: "FAILED_PRECONDITION",
  FILTER_MISMATCH: "FAILED_PRECONDITION",
  FILTER_CHANGES_PENDING: "FAILED_PRECONDITION",
  QUEUE_ID_MISMATCH: "FAILED_PRECONDITION",
  SHARING_MISMATCH: "FAILED_PRECONDITION",
  CLIENT_BEHIND: "FAILED_PRECONDITION",
  ORDERED_QUEUE_REQUIRED: "FAILED_PRECONDITION",
  BEYOND_HEAD: "OUT_OF_RANGE",
  BEFORE_FIRST: "OUT_OF_RANGE",
  PUBLISH_BACKLOG: "RESOURCE_EXHAUSTED",
  QUEUE_FULL: "RESOURCE_EXHAUSTED",
  LOG_FULL: "RESOURCE_EXHAUSTED",
  SESSION_LIMIT: "RESOURCE_EXHAUSTED",
  SCHEDULE_LIMIT: "RESOURCE_EXHAUSTED",
  WATCH_BACKLOG: "RESOURCE_EXHAUSTED",
  HALTED: "ABORTED",
  DISCONNECTED: "ABORTED",
  REPLACED: "ABORTED",
  OPEN_TIMEOUT: "ABORTED",
  CLIENT_TIMEOUT: "ABORTED",
  NOT_BUILT_YET: "UNIMPLEMENTED",
  UNKNOWN_FRAME: "UNIMPLEMENTED",
  UNKNOWN_CAPABILITY: "UNIMPLEMENTED",
  DRAINING: "UNAVAILABLE",
  SUBSCRIPTION_MOVED: "UNAVAILABLE",
  DISK_FULL: "UNAVAILABLE",
  CHUNK_CORRUPT: "DATA_LOSS",
  INTERNAL: "INTERNAL",
} as const satisfies Record<string, StatusName>;

export type ErrorReason = keyof typeof ERROR_REASONS;

/** Of these, each error says when the same call may succeed, which the wire calls RetryInfo; of the others none does. */
export const RETRIABLE_REASONS = ["PUBLISH_BACKLOG", "QUEUE_FULL", "WATCH_BACKLOG", "DRAINING", "SUBSCRIPTION_MOVED", "DISK_FULL"] as const satisfies readonly ErrorReason[];

export type RetriableReason = (typeof RETRIABLE_REASONS)[number];

/** An operational failure that a client is told of. A programmer's error is an assertion instead. */
export class BrokerError extends Error {
  override readonly name = "BrokerError";

  /**
   * @param message what was wrong, which value, and what to do; for people
   * @param metadata the same for machines: ErrorInfo.metadata (field, value, limit, …)
   * @param retryAfterMs when the same call may succeed; for the reasons in RETRIABLE_REASONS, and only for them
   */
  constructor(reason: Exclude<ErrorReason, RetriableReason>, message: string, metadata?: Readonly<Record<string, string>>);
  constructor(reason: RetriableReason, message: string, metadata: Readonly<Record<string, string>>, retryAfterMs: number);
  constructor(
    readonly reason: ErrorReason,
    message: string,
    readonly metadata: Readonly<Record<string, string>> = {},
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }

  get status(): StatusName {
    return ERROR_REASONS[this.reason];
  }
}
