import { type Client, ClientKind } from "../../generated/tidemark/v1/client.js";
import { AckMode, Sharing, WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { enumName } from "./enum-name.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** One connected program, an open session, as it was when the broker answered. */
export interface ClientInfo {
  readonly sessionId: string;
  /** How it works: "STREAM", or "PULL" by single calls. */
  readonly kind: string;
  /** The label that the program gave itself; empty: none. */
  readonly clientId: string;
  /** The address that it came from. */
  readonly peer: string;
  readonly queue: string;
  /** Empty: ephemeral. */
  readonly subscriber: string;
  /** Event filters; empty: every event. */
  readonly events: readonly string[];
  /** "EXPLICIT" or "AUTO". */
  readonly ackMode: string;
  /** "SHARED" or "EXCLUSIVE". */
  readonly sharing: string;
  /** It waits for another session of an exclusive subscriber to go. */
  readonly standby: boolean;
  /** It asked for no more deliveries. */
  readonly draining: boolean;
  /** Messages in flight to it. */
  readonly inFlightCount: number;
  /** How many there may be. */
  readonly maxInFlightMessages: number;
  /** Bytes in flight to it. */
  readonly inFlightBytes: number;
  /** How many there may be. */
  readonly maxInFlightBytes: number;
  /** It asked for a pause. */
  readonly paused: boolean;
  /** What its subscriber has not delivered yet: its lag. */
  readonly backlogCount: number;
  /** Why nothing is delivered to it, such as "FLOW" or "NOTHING_NEW"; empty: something is on its way. */
  readonly waitingFor: string;
  /** Undefined if the broker did not say. */
  readonly connectTime: Date | undefined;
  /** When the last frame came from it. Undefined if the broker did not say. */
  readonly lastFrameTime: Date | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Its gRPC library, as it says itself; may be empty. */
  readonly userAgent: string;
}

export function clientInfo(client: Client): ClientInfo {
  return {
    sessionId: client.sessionId,
    kind: enumName(ClientKind, client.kind),
    clientId: client.clientId,
    peer: client.peer,
    queue: client.queue,
    subscriber: client.subscriber,
    events: client.events,
    ackMode: enumName(AckMode, client.ackMode),
    sharing: enumName(Sharing, client.sharing),
    standby: client.standby,
    draining: client.draining,
    inFlightCount: safeNumber(client.inFlightCount, "in_flight_count"),
    maxInFlightMessages: client.flow?.maxMessages ?? 0,
    inFlightBytes: safeNumber(client.inFlightBytes, "in_flight_bytes"),
    maxInFlightBytes: safeNumber(client.flow?.maxBytes ?? 0n, "flow.max_bytes"),
    paused: client.flow?.paused ?? false,
    backlogCount: safeNumber(client.backlogCount, "backlog_count"),
    waitingFor: client.waitingFor === WaitingFor.UNSPECIFIED ? "" : enumName(WaitingFor, client.waitingFor),
    connectTime: client.connectTime === undefined ? undefined : timestampToDate(client.connectTime),
    lastFrameTime: client.lastFrameTime === undefined ? undefined : timestampToDate(client.lastFrameTime),
    labels: client.labels,
    userAgent: client.userAgent,
  };
}
