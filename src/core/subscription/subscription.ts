import type { EventFilter } from "../event-filter.js";
import type { SessionId, WaitingFor } from "../session.js";
import type { MonotonicMs, Now, Offset } from "../units.js";
import type { Effect } from "./effects.js";
import type { Fact } from "./facts.js";

/** What a subscription is set to; all in effect at once. */
export interface SubscriptionSettings {
  /** The subscriber's name; messages addressed to another one are passed over. Empty for an ephemeral one. */
  readonly name: string;
  readonly filter: EventFilter;
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly maxUnsettled: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly backoffFactor: number;
  /** Ephemeral: nothing is stored, no `save_cursor`, no `bury`; a reject settles. */
  readonly ephemeral: boolean;
}

/** Numbers to show; all as of now. */
export interface SubscriptionCounts {
  /** Everything up to it is settled or filtered out, durably. */
  readonly committedOffset: Offset;
  /** The first offset that the machine has not looked at yet. */
  readonly next: Offset;
  /** Matching messages below `next` that are not settled: in flight, ready again, waiting or on their way to dead letters. */
  readonly unsettled: number;
  readonly inFlight: number;
  readonly waitingRetry: number;
}

/** One subscriber's delivery state: facts in, effects out. Holds no I/O, timer, clock or randomness. */
export declare class Subscription {
  /** A new subscription that has settled everything up to `after`, on a log whose last durable message is `head`. */
  static begin(settings: SubscriptionSettings, after: Offset, head: Offset): Subscription;
  /** From a cursor that `encodeCursor` made. Throws on bytes that are none. */
  static restore(settings: SubscriptionSettings, cursor: Uint8Array, head: Offset, now: Now): Subscription;
  step(fact: Fact, now: Now): Effect[];
  /** When `time_passed` is due; undefined: not before another fact. */
  nextWake(): MonotonicMs | undefined;
  encodeCursor(): { readonly bytes: Buffer; readonly version: number };
  counts(): SubscriptionCounts;
  inFlight(session: SessionId): number;
  /** Why nothing goes out to this session right now; undefined when something is on its way. */
  waitingFor(session: SessionId): WaitingFor | undefined;
}
