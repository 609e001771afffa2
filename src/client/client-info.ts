import type { Client } from "../../generated/tidemark/v1/client.js";
import { AckMode } from "../../generated/tidemark/v1/subscribe.js";
import { enumName } from "./enum-name.js";
import { safeNumber } from "./safe-number.js";
import { timestampToDate } from "./wire-time.js";

/** One connected program, an open session, as it was when the broker answered. */
export interface ClientInfo {
  readonly sessionId: string;
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
  /** Messages in flight to it. */
  readonly inFlightCount: number;
  /** How many there may be. */
  readonly maxInFlightMessages: number;
  /** Undefined if the broker did not say. */
  readonly connectTime: Date | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

export function clientInfo(client: Client): ClientInfo {
  return {
    sessionId: client.sessionId,
    clientId: client.clientId,
    peer: client.peer,
    queue: client.queue,
    subscriber: client.subscriber,
    events: client.events,
    ackMode: enumName(AckMode, client.ackMode),
    inFlightCount: safeNumber(client.inFlightCount, "in_flight_count"),
    maxInFlightMessages: client.flow?.maxMessages ?? 0,
    connectTime: client.connectTime === undefined ? undefined : timestampToDate(client.connectTime),
    labels: client.labels,
  };
}
