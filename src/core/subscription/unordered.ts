import { OffsetRanges } from "../offset-ranges.js";
import { offset, OFFSET_MAX, type MonotonicMs, type Now, type Offset } from "../units.js";
import { BatchDraft, sendBatch } from "./batch-draft.js";
import { CursorCorrupt, dueAgain } from "./cursor-bytes.js";
import { decodeCursor } from "./cursor-codec.js";
import { storeUnordered } from "./unordered-store.js";
import type { DeliveryOrder, Dropped, Whereabouts } from "./delivery-order.js";
import type { Outlook, OrderPlace } from "./outlook.js";
import type { Return } from "./return.js";
import type { Effect } from "./effects.js";
import { FreeExpiry } from "./free-expiry.js";
import type { LoadedChunk } from "./loaded-chunks.js";
import { ReturnedMessages, suspectLimit, type ReturnedGroup } from "./returned-messages.js";
import type { SessionState } from "./session-state.js";
import { SessionTurns } from "./session-turns.js";
import type { SubscriptionState } from "./subscription-state.js";
import { FRESH, isSuspect, type Trouble } from "./trouble.js";

/**
 * The order of a queue without order: messages go out by offset, but nobody waits for another one. What came back goes
 * first. Invariant: every matching offset below `next` is settled, or is in `unsettled` and exactly one of: held by a
 * session, in `returned`, on its way to the dead letters.
 */
export class Unordered implements DeliveryOrder {
  readonly blocked = undefined;
  readonly newestGoesBackFirst = false;
  private returns = new ReturnedMessages();
  private readonly turns: SessionTurns;
  private expiry: FreeExpiry;

  constructor(
    private readonly state: SubscriptionState,
    private unsettled = new OffsetRanges(),
  ) {
    this.turns = new SessionTurns(state);
    this.expiry = new FreeExpiry(state, unsettled, this.returns);
  }

  /** From a cursor that `store` made. Throws CursorCorrupt on bytes that are none of its. */
  static restore(state: SubscriptionState, cursor: Uint8Array, now: Now): Unordered {
    const { next, unsettled, troubles, lastSettled, done, earlierFilters, expired } = decodeCursor(cursor);
    if (unsettled.max !== undefined && unsettled.max >= next) throw new CursorCorrupt("an unsettled message lies ahead of the cursor");
    state.next = next;
    state.lastSettled = lastSettled;
    state.done.addAll(done);
    state.filters.restore(earlierFilters);
    state.expired = expired;
    const order = new Unordered(state, unsettled);
    const plain = unsettled.copy();
    for (const trouble of troubles) {
      for (const { first, last } of trouble.offsets.runs()) {
        if (plain.remove(first, last) !== last - first + 1) throw new CursorCorrupt("a troubled message is not unsettled");
        order.bringBack(first, last, { ...trouble, afterVersion: 0, together: Infinity, due: dueAgain(trouble.dueWallMs, now) });
      }
    }
    for (const { first, last } of plain.runs()) order.returns.add(FRESH, first, last, 0, Infinity);
    return order;
  }

  get floor(): Offset {
    return offset((this.unsettled.min ?? this.state.next) - 1);
  }

  get unsettledCount(): number {
    return this.unsettled.size;
  }

  get waitingRetryCount(): number {
    return this.returns.waitingCount;
  }

  get awaitsCursor(): boolean {
    return this.returns.groups.some((group) => group.afterVersion > this.state.durableVersion);
  }

  get nextDue(): MonotonicMs | undefined {
    return this.returns.nextDue;
  }

  /** How many more messages may be unsettled. Runs count, so that one long retry does not stop everything. */
  private get unsettledRoom(): number {
    return this.state.settings.maxUnsettled - this.state.inFlight - this.returns.waitingCount - this.unsettled.runCount;
  }

  acked(first: Offset, last: Offset): void {
    this.unsettled.remove(first, last);
    this.state.noteSettled(last);
    this.state.change();
  }

  rejected(first: Offset, last: Offset, _owed: unknown, bury: (first: Offset, last: Offset) => void): void {
    bury(first, last);
  }

  /** A verdict that settles has taken effect when it is given. */
  repeated(): void { return; }

  /** See `repeated`. */
  repeatedThrough(): void { return; }

  /** Nothing waits behind it, so there is nothing to block. */
  poisoned(first: Offset, last: Offset, _owed: unknown, _poison: unknown, bury: (first: Offset, last: Offset) => void): void {
    bury(first, last);
  }

  returned(first: Offset, last: Offset, how: Return): void {
    this.bringBack(first, last, how);
  }

  buried(at: Offset): void {
    this.unsettled.remove(at, at);
    this.state.noteSettled(at);
  }

  settleThrough(through: Offset): void {
    const { state } = this;
    this.drop(offset(1), through);
    state.next = offset(Math.max(state.next, through + 1));
    state.change();
  }

  finished(claimed: OffsetRanges): void {
    const { state } = this;
    for (const { first, last } of this.returns.takeOut(claimed).runs()) {
      this.unsettled.remove(first, last);
      state.noteSettled(last);
    }
    state.done.addAll(claimed);
    state.done.remove(offset(1), offset(state.next - 1));
    state.passDone();
    state.change();
  }

  drop(first: Offset, last: Offset): Dropped {
    const range = new OffsetRanges();
    range.add(first, last);
    const dropped = this.returns.takeOut(range);
    for (const run of dropped.runs()) this.unsettled.remove(run.first, run.last);
    return { first: dropped.min, count: dropped.size };
  }

  restart(): void {
    this.returns = new ReturnedMessages();
    this.unsettled = new OffsetRanges();
    this.expiry = new FreeExpiry(this.state, this.unsettled, this.returns);
  }

  unsettledNow(): (at: Offset) => boolean {
    const unsettled = this.unsettled.copy();
    return (at) => unsettled.has(at);
  }

  sessionChanged(): void {
    // Whoever has room is asked anew at each hand-out.
  }

  sessionEnded(): void {
    // Its messages have come back one stretch at a time.
  }

  handedOutThrough(through: Offset): boolean {
    return this.state.next > through && this.returns.groups.every((group) => (group.offsets.min ?? through + 1) > through);
  }

  outlook(): Outlook {
    const { state, returns } = this;
    const anyBehind = returns.groups.length > 0;
    return { anyBehind, behindIsReady: anyBehind, waitingRetries: returns.waitingCount, handedOut: state.inFlight, unsettledUsed: state.settings.maxUnsettled - this.unsettledRoom };
  }

  placeOf(at: Offset): OrderPlace | undefined {
    const ready = this.returns.groups.find(({ offsets }) => offsets.has(at));
    if (ready !== undefined) return { kind: "ready", trouble: ready };
    const waits = this.returns.waitingRetries().find(({ offsets }) => offsets.has(at));
    return waits === undefined ? undefined : { kind: "retry", trouble: waits, dueAt: waits.dueAt, dueWallMs: waits.dueWallMs };
  }

  store(): Buffer {
    return storeUnordered(this.state, this.unsettled, this.returns);
  }

  whereabouts(): Whereabouts {
    return {
      unsettled: this.unsettled.runs(),
      ready: this.returns.groups.flatMap((group) => group.offsets.runs()),
      waiting: this.returns.waitingRetries().flatMap((entry) => entry.offsets.runs()),
      blocked: [],
      lanes: [],
    };
  }

  handOut(now: MonotonicMs, effects: Effect[]): void {
    const { state } = this;
    this.returns.release(now);
    this.passNew();
    this.turns.begin();
    const suspect = this.handOutReturned(now, effects, true);
    const again = this.handOutReturned(now, effects, false);
    const fresh = this.handOutNew(now, effects);
    state.wants(suspect ?? again ?? fresh, effects);
    state.loaded.keep(state.next, [suspect, again].filter((needed) => needed !== undefined));
  }

  private bringBack(first: Offset, last: Offset, how: Return): void {
    if (how.due === undefined) this.returns.add(how, first, last, how.afterVersion, how.together);
    else {
      const offsets = new OffsetRanges();
      offsets.add(first, last);
      this.returns.wait({ ...how, offsets, dueAt: how.due.at, dueWallMs: how.due.wallMs });
    }
  }

  /** Hands out what came back. Returns the offset whose chunk it lacks, if a session is ready for it. */
  private handOutReturned(now: MonotonicMs, effects: Effect[], suspects: boolean): Offset | undefined {
    const { state } = this;
    this.turns.beginRound();
    let i = 0;
    for (let group = this.returns.groups[i]; group !== undefined; group = this.returns.groups[i]) {
      if (isSuspect(group) !== suspects || group.afterVersion > state.durableVersion) {
        i++;
        continue;
      }
      const session = suspects ? this.turns.idleTaker() : this.turns.nextTaker();
      if (session === undefined) {
        if (suspects) this.turns.reserve();
        return undefined;
      }
      const expired: Offset[] = [];
      const draft = this.draftReturned(group, session, suspects, expired);
      const gone = expired.filter((at) => this.expiry.takesReturned(group, at));
      if (draft.count === 0) {
        if (expired.length === 0) return group.offsets.min;
        if (gone.length === 0) i++;
        continue;
      }
      draft.eachRun((first, last) => this.returns.remove(group, first, last));
      this.send(session, draft, group, suspects, now, effects);
    }
    return undefined;
  }

  /** @param expired gets those that it passes over */
  private draftReturned(group: ReturnedGroup, session: SessionState, suspect: boolean, expired: Offset[]): BatchDraft {
    const { state } = this;
    const share = suspect ? suspectLimit(group) : this.turns.shareOf(session, group.offsets.size);
    const room = Math.min(session.messagesRoom, share);
    const draft = new BatchDraft(room, session.settings.maxBatchBytes, session.bytesRoom);
    for (let run = 0; run < group.offsets.runCount; run++) {
      const { first, last } = group.offsets.run(run);
      let loaded: LoadedChunk | undefined;
      for (let at: Offset = first; at <= last; at = offset(at + 1)) {
        if (loaded === undefined || at > loaded.chunk.last) loaded = state.loaded.find(at);
        if (loaded?.isExpired(at - loaded.chunk.first, state.wallMs) === true) expired.push(at);
        else if (loaded?.chunk.body === undefined || !draft.take(loaded.chunk, at - loaded.chunk.first)) return draft;
      }
    }
    return draft;
  }

  /** Hands out what was never looked at. Returns the offset whose chunk it lacks, if a session is ready for it. */
  private handOutNew(now: MonotonicMs, effects: Effect[]): Offset | undefined {
    const { state } = this;
    this.turns.beginRound();
    while (state.next <= state.head) {
      const room = this.unsettledRoom;
      if (room <= 0) return undefined;
      const loaded = state.loaded.find(state.next);
      const session = this.turns.nextTaker();
      if (session === undefined) return undefined;
      if (loaded === undefined || !loaded.isUsable) return state.next;
      if (this.expiry.holdsUp(loaded)) return undefined;
      const share = this.turns.shareOf(session, state.head - state.next + 1);
      const draft = new BatchDraft(Math.min(session.messagesRoom, room, share), session.settings.maxBatchBytes, session.bytesRoom);
      const trouble = this.draftNew(draft);
      if (draft.count === 0) continue;
      draft.eachRun((first, last) => { this.unsettled.add(first, last); });
      this.send(session, draft, trouble, false, now, effects);
      this.passNew();
    }
    return undefined;
  }

  /** Advances over what is not to be handed out, as far as is known. */
  private passNew(): void {
    const { state } = this;
    do {
      state.passDone();
      state.passFiltered();
    } while ((state.done.min !== undefined && state.done.min <= state.next) || this.passExpired());
  }

  /** Advances over messages that have expired; false when the next one has not. */
  private passExpired(): boolean {
    const { state } = this;
    const loaded = state.next > state.head ? undefined : state.loaded.find(state.next);
    if (loaded?.isExpired(state.next - loaded.chunk.first, state.wallMs) !== true || !this.expiry.takesNew(state.next)) return false;
    state.next = offset(state.next + 1);
    return true;
  }

  /** The next message of a chunk that is to be handed out, or has expired and has to wait; its count when there is none. */
  private nextNew(loaded: LoadedChunk, from: number): number {
    const { state } = this;
    const { done } = state;
    const { chunk } = loaded;
    let index = loaded.nextTaken(from);
    if (done.isEmpty && chunk.expireTimeMs === undefined) return index;
    for (; index < chunk.count; index = loaded.nextTaken(index + 1)) {
      if (done.has(offset(chunk.first + index))) continue;
      if (!loaded.isExpired(index, state.wallMs) || !this.expiry.takesNew(offset(chunk.first + index))) break;
    }
    return index;
  }

  /** Fills a batch from `next` on, across chunks, and moves `next` past what it took or passed over. Answers what they have in common. */
  private draftNew(draft: BatchDraft): Trouble {
    const { state } = this;
    let trouble = FRESH;
    let through = OFFSET_MAX;
    while (state.next <= state.head) {
      const loaded = state.loaded.find(state.next);
      if (loaded === undefined || !loaded.isUsable) return trouble;
      const { chunk } = loaded;
      let index = this.nextNew(loaded, state.next - chunk.first);
      while (index < chunk.count) {
        const at = offset(chunk.first + index);
        if (draft.count === 0) {
          trouble = state.beginning(at);
          through = state.beginsAlikeThrough(at);
        }
        if (at > through || loaded.isExpired(index, state.wallMs) || !draft.take(chunk, index)) {
          state.next = at;
          return trouble;
        }
        index = this.nextNew(loaded, index + 1);
      }
      state.next = offset(chunk.last + 1);
    }
    return trouble;
  }

  private send(session: SessionState, draft: BatchDraft, trouble: Trouble, alone: boolean, now: MonotonicMs, effects: Effect[]): void {
    sendBatch(session, draft, trouble, alone, now, effects);
    this.state.turn.spend(draft.count, draft.bytes);
    this.turns.served(session);
  }
}
