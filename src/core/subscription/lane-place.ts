import type { Offset } from "../units.js";
import type { Whereabouts } from "./delivery-order.js";
import type { BlockedLanes } from "./blocked-lanes.js";
import type { OrderPlace } from "./outlook.js";
import { entryIndex, type Lane, type Lanes } from "./lanes.js";
import type { Return } from "./return.js";
import { FRESH } from "./trouble.js";

/** What is known of messages that are not in flight, besides their lane. */
export interface LaneKnowledge {
  readonly blocked: BlockedLanes;
  readonly returns: ReadonlyMap<Offset, Return>;
}

/** Where a message of this lane is that nobody holds; undefined when it is settled, or was never looked at and nothing is before it. */
export function placeInLane(lane: Lane | undefined, at: Offset, next: Offset, { blocked, returns }: LaneKnowledge): OrderPlace | undefined {
  const poison = blocked.find(at);
  if (poison !== undefined) return { kind: "poison", poison };
  if (lane === undefined || at < lane.first) return undefined;
  const entry = lane.entries[entryIndex(lane, at)];
  if (entry !== undefined) return entry.status === "concluded" ? { kind: "concluded", session: entry.session, batch: entry.batch, behind: lane.first } : undefined;
  if (lane.first < at) return { kind: "behind", first: lane.first };
  if (at >= next) return undefined;
  const how = returns.get(at);
  if (how?.due === undefined) return { kind: "ready", trouble: how ?? FRESH };
  return { kind: "retry", trouble: how, dueAt: how.due.at, dueWallMs: how.due.wallMs };
}

/** Lanes know where their first message is, and those that came back; not where the others are. */
export function laneWhereabouts(known: Lanes, returns: ReadonlyMap<Offset, Return>, retries: readonly { readonly message: Offset }[], blocked: BlockedLanes): Whereabouts {
  const waits = new Set(retries.map(({ message }) => message));
  const waiting = [...waits].map((message) => ({ first: message, last: message }));
  const ready = [...returns.keys()].filter((at) => !waits.has(at)).map((at) => ({ first: at, last: at }));
  const lanes = [...known.values()].map(({ hash, first, behind, entries }) => ({ hash, first, behind, handedOut: entries.map((entry) => entry.offset) }));
  return { unsettled: lanes.map(({ first }) => ({ first, last: first })), ready, waiting, blocked: blocked.offsets(), lanes };
}
