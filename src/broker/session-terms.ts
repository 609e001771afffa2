import { LIMITS } from "../core/limits.js";
import type { FlowWindow, OpenSession } from "../core/session.js";
import type { BrokerSettings } from "./settings.js";

/** What holds for one session: what its client asked for, within the limits, and the server's values for the rest. */
export interface SessionTerms {
  readonly flow: FlowWindow;
  readonly ackTimeoutMs: number;
  readonly heartbeatMs: number;
  /** 0: a silent client is left alone. */
  readonly clientTimeoutMs: number;
  readonly maxBatchMessages: number;
  readonly maxBatchBytes: number;
}

export function sessionTerms(open: OpenSession, settings: BrokerSettings): SessionTerms {
  return {
    flow: effectiveFlow(open.flow, settings),
    ackTimeoutMs: clamp(open.ackTimeoutMs ?? settings.ackTimeoutMs, LIMITS.ackTimeoutMsMin, LIMITS.ackTimeoutMsMax),
    heartbeatMs: clamp(open.heartbeatMs ?? settings.heartbeatMs, LIMITS.heartbeatMsMin, LIMITS.heartbeatMsMax),
    clientTimeoutMs: open.clientTimeoutMs === undefined ? 0 : clamp(open.clientTimeoutMs, LIMITS.clientTimeoutMsMin, LIMITS.clientTimeoutMsMax),
    maxBatchMessages: orDefault(open.maxBatchMessages, settings.deliveryBatchMessages, LIMITS.deliveryBatchMessagesMax),
    maxBatchBytes: orDefault(open.maxBatchBytes, settings.deliveryBatchBytes, LIMITS.deliveryBatchBytesMax),
  };
}

/** A window as it takes effect: 0 is the server's default, too much is clamped. */
export function effectiveFlow(flow: FlowWindow, settings: BrokerSettings): FlowWindow {
  return {
    maxMessages: orDefault(flow.maxMessages, settings.flowMessages, LIMITS.flowMessagesMax),
    maxBytes: orDefault(flow.maxBytes, settings.flowBytes, LIMITS.flowBytesMax),
    paused: flow.paused,
  };
}

export function sameFlow(a: FlowWindow, b: FlowWindow): boolean {
  return a.maxMessages === b.maxMessages && a.maxBytes === b.maxBytes && a.paused === b.paused;
}

function orDefault(value: number, otherwise: number, max: number): number {
  return clamp(value === 0 ? otherwise : value, 1, max);
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
