import { DEFAULTS } from "../core/limits.js";

/** What an operator may say about every queue and subscriber; docs/limits.md has the reasons of the defaults. */
export interface BrokerSettings {
  /** Make a queue on the first publish or subscribe to it. Otherwise these are NOT_FOUND. */
  readonly autoCreateQueues: boolean;
  readonly ackTimeoutMs: number;
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly backoffFactor: number;
  readonly maxUnsettled: number;
  readonly flowMessages: number;
  readonly flowBytes: number;
  readonly deliveryBatchMessages: number;
  readonly deliveryBatchBytes: number;
  readonly heartbeatMs: number;
  readonly dedupWindowMs: number;
  /** Message ids remembered at least, by queue. */
  readonly dedupIdsMax: number;
}

/** Settings of a broker that was told nothing. */
export const BROKER_DEFAULTS: BrokerSettings = { autoCreateQueues: true, ...DEFAULTS };
