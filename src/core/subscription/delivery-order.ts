import type { OffsetRanges } from "../offset-ranges.js";
import type { OffsetRun } from "../session.js";
import type { MonotonicMs, Offset } from "../units.js";
import type { BlockedLanes, Poison } from "./blocked-lanes.js";
import type { Confirmation } from "./confirmations.js";
import type { DeliveryBatch } from "./delivery-batch.js";
import type { Effect } from "./effects.js";
import type { Outlook, OrderPlace } from "./outlook.js";
import type { Return } from "./return.js";
import type { SessionState } from "./session-state.js";

/** Where unsettled messages are, but for those that sessions hold and those on their way to the dead letters. */
export interface Whereabouts {
  readonly unsettled: readonly OffsetRun[];
  readonly ready: readonly OffsetRun[];
  readonly waiting: readonly OffsetRun[];
  /** Poison that blocks its lane. Empty where there are none. */
  readonly blocked: readonly Offset[];
  /** Of an ordered queue: the lanes that have unsettled messages. Empty otherwise. */
  readonly lanes: readonly LaneView[];
}

/** What became unreadable for good. */
export interface Dropped {
  /** The first message that was dropped, or may have been; undefined: there was none. */
  readonly first: Offset | undefined;
  /** How many there were at least. */
  readonly count: number;
}

/** A lane that is not done. */
export interface LaneView {
  readonly hash: bigint;
  /** Its first unsettled message, or a lower bound of it. */
  readonly first: Offset;
  /** Handed out and not settled, ascending. */
  readonly handedOut: readonly Offset[];
  /** How many wait behind those; Infinity: not known. */
  readonly behind: number;
}

/**
 * How the messages of a subscription follow one another: freely, or in lanes. It knows which messages below `next` are not
 * settled, decides what goes out next, and says what of that is stored.
 *
 * A call that names a stretch of offsets says what became of messages whose lease has just ended.
 */
export interface DeliveryOrder {
  /** What an ended session holds goes back from its newest batch on: nothing may follow the first of a lane before that is back. */
  readonly newestGoesBackFirst: boolean;
  /** Everything up to it is settled or filtered out, though perhaps not durably. */
  readonly floor: Offset;
  /** Matching messages below `next` that are not settled. */
  readonly unsettledCount: number;
  readonly waitingRetryCount: number;
  /** True while something could go out again if only its new count were durable. */
  readonly awaitsCursor: boolean;
  /** Lanes that stand still behind poison; undefined where there are none. */
  readonly blocked: BlockedLanes | undefined;
  /** When the next waiting retry is due. */
  readonly nextDue: MonotonicMs | undefined;
  /** Hands out what it can, and asks for the chunk that it lacks to go on. */
  handOut(now: MonotonicMs, effects: Effect[]): void;
  /** A verdict on messages of this batch was given again: it is answered when the first one is, if that still waits. */
  repeated(batch: DeliveryBatch, first: Offset, last: Offset, owed: Confirmation): void;
  /** A cumulative ack covers verdicts of this session's batches through this one: it is answered when those are that still wait. */
  repeatedThrough(session: SessionState, batchId: number, owed: Confirmation): void;
  /** Acked by a settle that is owed an answer, or taken by a transport that is owed none. */
  acked(first: Offset, last: Offset, owed: Confirmation | undefined): void;
  /** Rejected. `bury` sends a stretch to the dead letters, now or when its place allows. */
  rejected(first: Offset, last: Offset, owed: Confirmation | undefined, bury: (first: Offset, last: Offset) => void): void;
  /** Poison: buried, or left where it is, as the rules say when its turn comes. Owes as a reject does. */
  poisoned(first: Offset, last: Offset, owed: Confirmation | undefined, poison: Poison, bury: (first: Offset, last: Offset) => void): void;
  /** To go out again. */
  returned(first: Offset, last: Offset, how: Return, effects: Effect[]): void;
  /** Settled at last: its copy is in the commit of the dead letters. */
  buried(at: Offset): void;
  /** Settled without a session, but for what sessions hold and what is on its way to the dead letters. `next` is behind it then. */
  settleThrough(through: Offset): void;
  /** A client had finished these before: settled, unless a session holds them; in lanes, only what nothing unsettled is before. */
  finished(claimed: OffsetRanges): void;
  /** Messages below `next` can never be read again, wherever they are but in flight or on their way to the dead letters. */
  drop(first: Offset, last: Offset): Dropped;
  /** Forgets every message: the subscription goes on elsewhere. Verdicts that wait in a lane are lost; leases have ended already. */
  restart(): void;
  /** Which messages below `next` are not settled, as of now. Of a lane it knows where it begins, whatever the filter takes of it. */
  unsettledNow(): (at: Offset, lane: bigint) => boolean;
  /** A session may take more, or other, than before. */
  sessionChanged(session: SessionState): void;
  /** A session is over and has given back what it held. */
  sessionEnded(session: SessionState): void;
  /** True when nothing up to `through` is left to hand out. */
  handedOutThrough(through: Offset): boolean;
  /** How things stand with what may go out. */
  outlook(): Outlook;
  /** Where a message is that nobody holds; undefined when it is settled, or was never looked at and waits for nothing here. */
  placeOf(at: Offset, lane: bigint): OrderPlace | undefined;
  /** The cursor, encoded. */
  store(): Buffer;
  /** For explanations and invariant checks. */
  whereabouts(): Whereabouts;
}
