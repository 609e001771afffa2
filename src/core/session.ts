import type { Offset, WallMs } from "./units.js";

/** Identity of one open Subscribe stream (or Pull lease), unique for the life of the data directory. */
export type SessionId = string;

/** An inclusive run of offsets. */
export interface OffsetRun {
  readonly first: Offset;
  readonly last: Offset;
}

export type AckMode = "EXPLICIT" | "AUTO";

/** How the client of a session works: by a Subscribe stream, or by Pull and Settle. */
export type SessionKind = "STREAM" | "PULL";

/** How the sessions of one subscriber share its messages: all of them work, or one does and the others stand by. */
export type Sharing = "SHARED" | "EXCLUSIVE";

/** Credit of a session: it never holds more than this, except that one message always passes. */
export interface FlowWindow {
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly paused: boolean;
}

/** Where a new subscriber begins. */
export type StartPoint =
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  | { readonly kind: "after_offset"; readonly offset: Offset }
  /** With the first message published at this time or later. */
  | { readonly kind: "from_time"; readonly timeMs: WallMs };

/** When a session ends by itself. */
export type StopPoint =
  | { readonly kind: "never" }
  | { readonly kind: "at_head" }
  | { readonly kind: "after_messages"; readonly count: number };

/** What a client says at open that it had done before. */
export interface Claims {
  /** Its own position: everything up to it. `undefined`: it keeps none. */
  readonly processedThrough: Offset | undefined;
  /** What it had finished without hearing so. */
  readonly done: readonly OffsetRun[];
}

export const NO_CLAIMS: Claims = { processedThrough: undefined, done: [] };

/** A validated OpenSession, or what a Pull says of one: every default filled in by the edge, every value in range. */
export interface OpenSession {
  readonly kind: SessionKind;
  readonly queue: string;
  /** Empty: ephemeral. */
  readonly subscriber: string;
  /** Empty: as stored, or everything when new. */
  readonly events: readonly string[];
  readonly ackMode: AckMode;
  /** 0 in a field: the server's default. */
  readonly flow: FlowWindow;
  /** `undefined`: the client did not say. */
  readonly start: StartPoint | undefined;
  /** `undefined`: the subscriber's value. */
  readonly ackTimeoutMs: number | undefined;
  readonly stop: StopPoint;
  readonly textView: boolean;
  readonly clientId: string;
  /** Empty: any incarnation. */
  readonly queueId: string;
  readonly heartbeatMs: number | undefined;
  readonly clientTimeoutMs: number | undefined;
  readonly maxBatchMessages: number;
  readonly maxBatchBytes: number;
  /** How many messages of one lane may be in flight; at least 1. Only on an ordered queue. */
  readonly maxInFlightPerLane: number;
  readonly sharing: Sharing;
  readonly claims: Claims;
  /** The client's own earlier session, to be ended first; empty: none. */
  readonly replacesSessionId: SessionId;
  readonly labels: ReadonlyMap<string, string>;
  /** For ListClients: the address that the stream came from. */
  readonly peer: string;
  /** For ListClients: what the client's library says it is; up to 256 bytes, may be empty. */
  readonly userAgent: string;
}

/** What a settle names: a run of one session's deliveries. `batchId` 0: whichever batch held it last. */
export interface DeliveryRun {
  readonly first: Offset;
  readonly last: Offset;
  readonly batchId: number;
}

/** A validated Settlement. Verdicts apply in this order of fields; the first one on a message wins. */
export interface Settlement {
  readonly acks: readonly DeliveryRun[];
  /** 0: none. */
  readonly ackThroughBatchId: number;
  /** `delayMs` undefined: the subscriber's backoff. */
  readonly retries: readonly { readonly range: DeliveryRun; readonly delayMs: number | undefined; readonly reason: string }[];
  readonly rejects: readonly { readonly range: DeliveryRun; readonly reason: string }[];
  readonly releases: readonly DeliveryRun[];
  /** `leaseMs` undefined: the ack timeout once more. */
  readonly extends: readonly { readonly range: DeliveryRun; readonly leaseMs: number | undefined }[];
  /** `undefined`: none. */
  readonly extendAllMs: number | undefined;
}

export type SettleFailureCode = "LEASE_LOST" | "NOT_HELD" | "ALREADY_SETTLED";

export interface SettleFailure {
  /** 0n: the settle carried no request id. */
  readonly requestId: bigint;
  readonly range: DeliveryRun;
  readonly code: SettleFailureCode;
}

export type DeliveryCause = "NEW" | "RETRY" | "TIMEOUT" | "DISCONNECT" | "RELEASED" | "SEEK";

export type WaitingFor =
  | "NOTHING_NEW"
  | "FLOW"
  | "LANE"
  | "RETRY_DELAY"
  | "PAUSED"
  | "STANDBY"
  | "UNSETTLED_LIMIT";

/** What every message of one delivery batch shares. */
export interface BatchFacts {
  readonly batchId: number;
  /** 1 + Retry verdicts. */
  readonly attempt: number;
  /** 1 + hand-outs that ended without a verdict. */
  readonly deliveryCount: number;
  readonly cause: DeliveryCause;
  /** Why the last attempt ended, in the consumer's words; empty when there was none. */
  readonly lastReason: string;
  /** 0 under AUTO: nothing is leased. */
  readonly leaseMs: number;
}

