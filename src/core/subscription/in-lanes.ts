import type { DeliveryCause, DeliveryRun } from "../session.js";
import { MinHeap } from "../min-heap.js";
import type { OffsetRanges } from "../offset-ranges.js";
import { offset, OFFSET_MAX, type MonotonicMs, type Now, type Offset } from "../units.js";
import { BlockedLanes, type Poison } from "./blocked-lanes.js";
import type { Confirmation } from "./confirmations.js";
import { CursorCorrupt, dueAgain } from "./cursor-bytes.js";
import { decodeLaneCursor } from "./lane-cursor.js";
import type { DeliveryBatch } from "./delivery-batch.js";
import type { DeliveryOrder, Dropped, Whereabouts } from "./delivery-order.js";
import type { Return } from "./return.js";
import type { Effect } from "./effects.js";
import { LaneHandOut } from "./lane-hand-out.js";
import { recall, recallFrom } from "./lane-recall.js";
import { entryIndex, Lanes, type Lane, type LaneEntry } from "./lanes.js";
import { answerLater, tookEffect } from "./lane-answers.js";
import type { Outlook, OrderPlace } from "./outlook.js";
import { laneWhereabouts, placeInLane } from "./lane-place.js";
import { storeLanes } from "./lane-store.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

/**
 * The order of an ordered queue: first in, first out inside a lane, lanes beside each other. What a lane has settled is
 * always a prefix of it: an ack behind an unsettled message waits, and when a message comes back, those behind it in its
 * lane are recalled. Under BLOCK_LANE poison stays first in its lane until somebody decides.
 */
export class InLanes implements DeliveryOrder {
  readonly newestGoesBackFirst = true;
  blocked = this.noneBlocked();
  private lanes = new Lanes();
  /** What is behind in its lane and has been handed out before. */
  private returns = new Map<Offset, Return>();
  private waiting = nothingWaits();
  private handingOut: LaneHandOut;
  /** What poison recalls, whichever verdict let it come first; told before the next hand-out. */
  private readonly recalls: Effect[] = [];

  constructor(private readonly state: SubscriptionState) {
    this.handingOut = this.newHandOut();
  }

  /** From a cursor that `store` made. Throws CursorCorrupt on bytes that are none of its. */
  static restore(state: SubscriptionState, bytes: Uint8Array, now: Now): InLanes {
    const cursor = decodeLaneCursor(bytes);
    const order = new InLanes(state);
    state.next = cursor.next;
    state.lastSettled = cursor.lastSettled;
    state.done.addAll(cursor.done);
    state.filters.restore(cursor.earlierFilters);
    state.expired = cursor.expired;
    for (const { hash, first, count } of cursor.lanes) order.lanes.begin(hash, first, count === 0 ? Infinity : count);
    for (const { hash, poison } of cursor.blocked) {
      const lane = order.lanes.get(hash);
      if (lane === undefined) throw new CursorCorrupt("a blocked lane has nothing unsettled");
      order.blocked.restore(lane, poison);
    }
    for (const lane of order.lanes.values()) order.handingOut.mayResume(lane);
    for (const trouble of cursor.troubles) {
      order.keepReturn(trouble.offset, { ...trouble, afterVersion: 0, together: Infinity, due: dueAgain(trouble.dueWallMs, now) });
    }
    return order;
  }

  get floor(): Offset {
    return offset((this.lanes.first ?? this.state.next) - 1);
  }

  get unsettledCount(): number { return this.lanes.messages; }

  get waitingRetryCount(): number { return this.waiting.size; }

  get awaitsCursor(): boolean {
    return this.handingOut.awaitsCursor;
  }

  get nextDue(): MonotonicMs | undefined {
    const due = this.waiting.peek()?.at;
    const expiry = this.handingOut.nextExpiry;
    return due === undefined || (expiry !== undefined && expiry < due) ? expiry : due;
  }

  handOut(now: MonotonicMs, effects: Effect[]): void {
    for (let due = this.waiting.peek(); due !== undefined && due.at <= now; due = this.waiting.peek()) {
      this.handingOut.mayResumeAt((this.waiting.pop() ?? due).message);
    }
    this.handingOut.resumeExpired(now);
    if (this.recalls.length > 0) effects.push(...this.recalls.splice(0));
    this.handingOut.run(now, this.waiting.size, effects);
  }

  acked(first: Offset, last: Offset, owed: Confirmation | undefined): void {
    this.concluded(first, last, owed, () => undefined);
  }

  rejected(first: Offset, last: Offset, owed: Confirmation | undefined, bury: (first: Offset, last: Offset) => void): void {
    this.concluded(first, last, owed, (entry) => {
      entry.status = "burying";
      bury(entry.offset, entry.offset);
    });
  }

  poisoned(first: Offset, last: Offset, owed: Confirmation | undefined, poison: Poison, bury: (first: Offset, last: Offset) => void): void {
    this.concluded(first, last, owed, (entry, lane) => {
      if (this.state.settings.onPoison === "BLOCK_LANE" && entry.offset > this.state.purgedThrough) {
        entry.status = "blocking";
        this.blocked.add(entry.offset, poison, lane, this.state.change());
        return;
      }
      if (this.state.settings.ephemeral) return; // Without dead letters it counts as settled.
      entry.status = "burying";
      bury(entry.offset, entry.offset);
    });
  }

  repeated(batch: DeliveryBatch, first: Offset, last: Offset, owed: Confirmation): void {
    for (let at: Offset = first; at <= last; at = offset(at + 1)) {
      const lane = this.lanes.holder(at);
      const entry = lane?.entries[entryIndex(lane, at)];
      if (entry?.batch === batch && entry.status === "concluded") answerLater(entry, owed);
    }
  }

  repeatedThrough(session: SessionState, batchId: number, owed: Confirmation): void {
    for (const entry of this.lanes.waitingThrough(session, batchId)) answerLater(entry, owed);
  }

  returned(first: Offset, last: Offset, how: Return, effects: Effect[]): void {
    const recall: { session: SessionState; runs: DeliveryRun[]; cause: DeliveryCause }[] = [];
    for (let at: Offset = first; at <= last; at = offset(at + 1)) {
      const lane = this.lanes.holder(at);
      // Without a lane it was behind a message of the same session that is over, and went back with it.
      if (lane === undefined) this.keepReturn(at, how);
      else this.takeBack(lane, at, how, recall);
    }
    for (const { session, runs, cause } of recall) effects.push({ type: "recall", session: session.id, ranges: runs, cause });
  }

  buried(at: Offset): void {
    const freed = this.blocked.left(at);
    if (freed !== undefined) {
      this.state.noteSettled(at);
      this.lanes.settleBehind(freed, at);
      this.handingOut.mayResume(freed);
      return;
    }
    const lane = this.lanes.holder(at);
    const [entry] = lane?.entries ?? [];
    if (lane === undefined || entry?.offset !== at) return;
    this.state.noteSettled(at);
    this.lanes.settle(lane, entry);
    this.settlePrefix(lane);
  }

  settleThrough(through: Offset): void {
    const { state } = this;
    this.blocked.drop(offset(1), through);
    this.loseBehind(offset(1), through);
    this.forgetReturns(offset(1), through);
    state.next = offset(Math.max(state.next, through + 1));
    state.change();
  }

  /** Which lane a message is in shows when it is read, so what was finished is noted, and settled when its lane comes to it. */
  finished(claimed: OffsetRanges): void {
    const { done } = this.state;
    done.addAll(claimed);
    for (const at of this.lanes.handedOutOffsets()) done.remove(at, at);
    done.remove(offset(1), this.floor);
    for (const at of this.blocked.offsets()) if (claimed.has(at)) this.blocked.unblock(at);
    this.handingOut.claimed();
    this.state.change();
  }

  drop(first: Offset, last: Offset): Dropped {
    for (const lane of [...this.lanes.values()]) if (first <= lane.first) this.settleGone(lane, last);
    const decided = this.blocked.drop(first, last);
    const lost = this.loseBehind(first, last);
    const returned = this.forgetReturns(first, last);
    // What came back is behind in its lane too, so neither number adds to the other; each is a lower bound.
    return { first: lost.first, count: Math.max(lost.count, returned + decided) };
  }

  restart(): void {
    for (const { entries } of this.lanes.values()) for (const entry of entries) if (entry.status === "concluded") recall(entry);
    this.recalls.splice(0);
    this.lanes = new Lanes();
    this.returns = new Map();
    this.waiting = nothingWaits();
    this.blocked = this.noneBlocked();
    this.handingOut = this.newHandOut();
  }

  unsettledNow(): (at: Offset, lane: bigint) => boolean {
    const firsts = new Map(Array.from(this.lanes.values(), ({ hash, first }) => [hash, first]));
    return (at, lane) => at >= (firsts.get(lane) ?? OFFSET_MAX);
  }

  sessionChanged(session: SessionState): void {
    this.handingOut.sessionChanged(session);
  }

  /** What was acked behind a burial comes again, since its verdict was never confirmed; the rest went back with what was before it. */
  sessionEnded(session: SessionState): void {
    for (const at of this.state.burials.keys()) {
      const lane = this.lanes.holder(at);
      if (lane?.entries[0]?.session !== session) continue;
      const index = lane.entries.findIndex(({ status }) => status === "concluded");
      if (index > -1) this.takeBackFrom(lane, index);
    }
  }

  handedOutThrough(through: Offset): boolean {
    return this.state.next > through && !this.lanes.anyBehindThrough(through);
  }

  outlook(): Outlook {
    const { lanes, waiting, handingOut, state } = this;
    const unsettledUsed = state.settings.maxUnsettled - handingOut.unsettledRoom(waiting.size);
    return { anyBehind: lanes.anyBehind, behindIsReady: false, waitingRetries: waiting.size, handedOut: lanes.handedOut, unsettledUsed };
  }

  placeOf(at: Offset, hash: bigint): OrderPlace | undefined {
    return placeInLane(this.lanes.get(hash), at, this.state.next, { blocked: this.blocked, returns: this.returns });
  }

  store(): Buffer {
    return storeLanes(this.state, this.returns, this.lanes, this.blocked);
  }

  whereabouts(): Whereabouts {
    return laneWhereabouts(this.lanes, this.returns, this.waiting.values(), this.blocked);
  }

  private noneBlocked(): BlockedLanes {
    return new BlockedLanes((lane, at, how) => { this.keepReturn(at, how); this.handingOut.mayResume(lane); });
  }

  private newHandOut(): LaneHandOut {
    return new LaneHandOut(this.state, this.lanes, this.returns, this.blocked, (message) => { this.forgetReturns(message, message); });
  }

  /** A verdict that settles; it takes effect now if the message is the first of its lane, and waits otherwise. */
  private concluded(first: Offset, last: Offset, owed: Confirmation | undefined, conclude: (entry: LaneEntry, lane: Lane) => void): void {
    const concluded: Lane[] = [];
    for (let at: Offset = first; at <= last; at = offset(at + 1)) {
      const lane = this.lanes.holder(at);
      const entry = lane?.entries[entryIndex(lane, at)];
      if (lane === undefined || entry === undefined) continue;
      concluded.push(lane);
      entry.status = "concluded";
      entry.conclude = () => { conclude(entry, lane); };
      if (lane.entries[0] !== entry && owed !== undefined) answerLater(entry, owed);
    }
    for (const lane of concluded) this.settlePrefix(lane);
  }

  private settlePrefix(lane: Lane): void {
    for (let entry = lane.entries[0]; entry?.status === "concluded"; entry = lane.entries[0]) {
      const settles = this.takesEffect(entry);
      if ((entry.status as LaneEntry["status"]) === "blocking") this.standStill(lane, entry.session);
      // A burial ends the prefix until its copy is in a commit, poison that stays until somebody decides.
      if (!settles) break;
      this.lanes.settle(lane, entry);
    }
    if (lane.behind > 0) this.handingOut.mayResume(lane);
  }

  /** The first message of a lane is poison and stays: what follows it is recalled, and everything is behind. */
  private standStill(lane: Lane, session: SessionState): void {
    const ranges = session.isOver ? [] : recallFrom(lane, 1);
    if (ranges.length > 0) this.recalls.push({ type: "recall", session: session.id, ranges, cause: "RETRY" });
    this.takeBackFrom(lane, 0);
  }

  /** Nothing of `first..last` is behind in any lane any more. */
  private loseBehind(first: Offset, last: Offset): Dropped {
    let from = Infinity;
    let count = 0;
    for (const lane of [...this.lanes.values()]) {
      if (lane.behind === 0 || lane.resumeFrom > last) continue;
      from = Math.min(from, Math.max(first, lane.resumeFrom));
      if (lane.resumeFrom >= first && last >= this.state.next - 1) {
        if (lane.behind !== Infinity) count += lane.behind;
        this.lanes.emptyBehind(lane);
      } else this.lanes.loseBehind(lane, first, last, this.state.next);
      this.handingOut.mayResume(lane);
    }
    return { first: from === Infinity ? undefined : offset(from), count };
  }

  /** Says how many there were. */
  private forgetReturns(first: Offset, last: Offset): number {
    const known = (first === last ? [first] : [...this.returns.keys()]).filter((at) => first <= at && at <= last && this.returns.has(at));
    const waited = known.filter((at) => this.returns.get(at)?.due !== undefined);
    for (const at of known) this.returns.delete(at);
    if (waited.length === 0) return known.length;
    this.waiting.remove(({ message }) => first <= message && message <= last);
    this.handingOut.forgetDue(first, last);
    return known.length;
  }

  /** A verdict waits for nothing any more; false when it begins a burial, or poison stays. */
  private takesEffect(entry: LaneEntry): boolean {
    entry.conclude?.();
    const version = this.state.change();
    if (entry.status !== "blocking") this.state.noteSettled(entry.offset);
    tookEffect(entry, version, this.state.burials.get(entry.offset));
    return entry.status === "concluded";
  }

  /** Nothing of a lane through `last` can come again, so no verdict there waits for the one before it. */
  private settleGone(lane: Lane, last: Offset): void {
    for (const entry of [...lane.entries]) {
      if (entry.offset > last || entry.status !== "concluded") continue;
      // Poison that is gone blocks nothing.
      if (this.takesEffect(entry) || (entry.status as LaneEntry["status"]) === "blocking") this.lanes.settle(lane, entry);
    }
  }

  /** One message comes back; the later ones of its lane are recalled. */
  private takeBack(lane: Lane, at: Offset, how: Return, recall: { session: SessionState; runs: DeliveryRun[]; cause: DeliveryCause }[]): void {
    const index = entryIndex(lane, at);
    const session = lane.entries[index]?.session;
    if (session === undefined) return;
    this.keepReturn(at, how);
    // Of a session that is over every message comes back by itself, with its own count.
    const runs = session.isOver ? [] : recallFrom(lane, index + 1);
    this.takeBackFrom(lane, index);
    if (runs.length > 0) recall.push({ session, runs, cause: how.cause });
  }

  private takeBackFrom(lane: Lane, index: number): void {
    for (const { offset: at, batch, owed } of this.lanes.takeBack(lane, index)) {
      for (const answer of owed) answer.waits--;
      if (batch === undefined || this.returns.has(at) || this.blocked.has(at)) continue;
      const { attempt, deliveryCount, lastReason } = batch.facts;
      this.keepReturn(at, { attempt, deliveryCount, lastReason, cause: "RELEASED", afterVersion: 0, together: Infinity, due: undefined });
    }
    this.handingOut.goesBack(lane);
  }

  private keepReturn(at: Offset, how: Return): void {
    this.returns.set(at, how);
    if (how.due !== undefined) this.waiting.push({ at: how.due.at, message: at });
  }
}

const nothingWaits = (): MinHeap<{ readonly at: MonotonicMs; readonly message: Offset }> => new MinHeap(({ at }) => at);
