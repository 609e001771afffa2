import type { MonotonicMs, Offset, WallMs } from "../units.js";
import type { Poison } from "./blocked-lanes.js";
import type { DeliveryBatch } from "./delivery-batch.js";
import type { SessionState } from "./session-state.js";
import type { Trouble } from "./trouble.js";

/** How things stand with what may go out: all that an order has to say about why nothing does. */
export interface Outlook {
  /** Something that was looked at is left to hand out, now or when something else has happened. */
  readonly anyBehind: boolean;
  /** Some of that could go out now. In lanes nobody knows before trying. */
  readonly behindIsReady: boolean;
  readonly waitingRetries: number;
  readonly handedOut: number;
  /** What counts against max_unsettled. */
  readonly unsettledUsed: number;
}

/** Where the order has a message that is not settled and that nobody holds. */
export type OrderPlace =
  | { readonly kind: "ready"; readonly trouble: Trouble }
  | { readonly kind: "retry"; readonly trouble: Trouble; readonly dueAt: MonotonicMs; readonly dueWallMs: WallMs }
  /** It has its verdict, which waits for the message `behind`. */
  | { readonly kind: "concluded"; readonly session: SessionState; readonly batch: DeliveryBatch | undefined; readonly behind: Offset }
  | { readonly kind: "poison"; readonly poison: Poison }
  /** Not before this one of its lane is settled. */
  | { readonly kind: "behind"; readonly first: Offset };
