import type { DeliveryCause } from "../session.js";

/** What messages that come again have in common, and what their next batch says of them. */
export interface Trouble {
  /** 1 + Retry verdicts. */
  readonly attempt: number;
  /** 1 + hand-outs that ended without a verdict. */
  readonly deliveryCount: number;
  readonly cause: DeliveryCause;
  /** Why the last attempt ended, in the consumer's words. */
  readonly lastReason: string;
}

/** A message that was never handed out. */
export const FRESH: Trouble = { attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" };

/** One that comes once more since the subscriber was moved: it begins anew. */
export const SOUGHT: Trouble = { ...FRESH, cause: "SEEK" };

/** From this hand-out on a message is suspected of killing its consumer and travels alone. */
const SUSPECT_DELIVERY_COUNT = 3;

/** True for messages that have to be handed out with nothing else in flight. */
export function isSuspect(trouble: Trouble): boolean {
  return trouble.deliveryCount >= SUSPECT_DELIVERY_COUNT;
}

/** True for messages whose counts a restart must not forget. */
export function hasHistory(trouble: Trouble): boolean {
  return trouble.attempt > 1 || trouble.deliveryCount > 1;
}

/** The same for messages with the same trouble, which may share a batch. */
export function troubleKey({ attempt, deliveryCount, cause, lastReason }: Trouble): string {
  return `${attempt} ${deliveryCount} ${cause} ${lastReason}`;
}
