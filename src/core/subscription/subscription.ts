import { offset, monotonicMs, type MonotonicMs, type Now, type Offset } from "../units.js";
import type { SessionId } from "../session.js";
import { takeCensus, type Census, type SubscriptionCounts } from "./census.js";
import { FATE } from "./delivery-batch.js";
import type { DeliveryOrder } from "./delivery-order.js";
import { Departures } from "./departures.js";
import type { Effect } from "./effects.js";
import { Explaining } from "./explaining.js";
import type { Fact } from "./facts.js";
import type { FilterHistory } from "./filter-history.js";
import { InLanes } from "./in-lanes.js";
import { Leases } from "./leases.js";
import { Losses } from "./losses.js";
import { LoadedChunk } from "./loaded-chunks.js";
import { OperatorChanges } from "./operator-changes.js";
import { Seeking, type StandingPosition } from "./seeking.js";
import { SessionEnds } from "./session-ends.js";
import { SessionPlaces } from "./session-places.js";
import type { SubscriptionSettings } from "./settings.js";
import { SubscriptionState } from "./subscription-state.js";
import { SubscriptionTally } from "./tally.js";
import { endlessTurns, TurnShare, type TurnBudget } from "./turn-budget.js";
import { Unordered } from "./unordered.js";
import { Verdicts } from "./verdicts.js";

export type { SubscriptionCounts } from "./census.js";
export type { DeliveryRules, SubscriptionSettings } from "./settings.js";

/**
 * One subscriber's delivery state: facts in, effects out. Holds no I/O, timer, clock or randomness.
 *
 * The life of a message below `next`:
 *
 *     filtered out ──────────────────────────────────────────────► passed
 *     new ──► in flight ──ack──────────────────────────────────► settled
 *              │  ▲  └──reject, or too many attempts──► burying ──► settled
 *              │  └───────────────── ready again ◄───┐
 *              ├──release──────────────▲             │ due
 *              ├──timeout, lost session┘ (counted)   │
 *              ├──retry──► waiting ──────────────────┤
 *              └──too many attempts──► blocked ──────┘ by hand, or ──► burying
 *
 * What a restart must not forget raises `version`; `confirm`, and redelivery under a new count, wait until the cursor of that
 * version is durable.
 */
export class Subscription {
  /** Says why things stand as they do. */
  readonly explaining: Explaining;
  private readonly verdicts: Verdicts;
  private readonly leases: Leases;
  private readonly losses: Losses;
  private readonly operator: OperatorChanges;
  private readonly places: SessionPlaces;
  private readonly ends: SessionEnds;
  private readonly seeking: Seeking;
  private readonly departures: Departures;
  private awaitsTurn = false;
  private announcedVersion = 0;
  private announcedUrgent = false;
  private notedFloor: Offset;
  /** The cursor on its way to disk: its floor is the committed offset once `cursor_saved` says so. */
  private encoded: { version: number; floor: Offset } | undefined;

  private constructor(
    private readonly state: SubscriptionState,
    private readonly order: DeliveryOrder,
  ) {
    this.explaining = new Explaining(state, order);
    this.verdicts = new Verdicts(state, order);
    this.places = new SessionPlaces(state, order);
    this.departures = new Departures(state, order, this.verdicts, this.places);
    this.ends = new SessionEnds(state, order);
    this.seeking = new Seeking(state, order);
    this.leases = new Leases(state, this.verdicts);
    this.losses = new Losses(state, order, this.verdicts);
    this.operator = new OperatorChanges(state, order, this.verdicts);
    this.notedFloor = order.floor;
  }

  /** A new subscription that has settled everything up to `after`, on a log whose last durable message is `head`. It adds to `tally`, and shares `turns`. */
  static begin(settings: SubscriptionSettings, after: Offset, head: Offset, tally = new SubscriptionTally(), turns: TurnBudget = endlessTurns()): Subscription {
    const state = new SubscriptionState(settings, offset(after + 1), head, after, tally, new TurnShare(turns));
    return new Subscription(state, settings.ordered ? new InLanes(state) : new Unordered(state));
  }

  /** From a cursor that `encodeCursor` made. Throws CursorCorrupt on bytes that are none. */
  static restore(settings: SubscriptionSettings, bytes: Uint8Array, head: Offset, now: Now, tally = new SubscriptionTally(), turns: TurnBudget = endlessTurns()): Subscription {
    const state = new SubscriptionState(settings, offset(1), head, offset(0), tally, new TurnShare(turns));
    const order = settings.ordered ? InLanes.restore(state, bytes, now) : Unordered.restore(state, bytes, now);
    state.durableFloor = order.floor;
    const subscription = new Subscription(state, order);
    // The switch that unblocks may be stored without what followed from it.
    if (settings.onPoison !== "BLOCK_LANE") subscription.verdicts.unblockAll();
    return subscription;
  }

  /** Takes one fact and says what to do about it. */
  step(fact: Fact, now: Now): Effect[] {
    const effects: Effect[] = [];
    this.state.wallMs = now.wallMs;
    this.leases.expire(now.monotonicMs, effects);
    this.operator.expire(now, effects);
    this.take(fact, now, effects);
    this.departures.goOn(effects);
    this.places.settleClaims();
    if (this.state.settings.ephemeral) this.settleWithoutStore();
    this.places.ready(effects);
    this.ends.reach();
    this.order.handOut(now.monotonicMs, effects);
    if (this.state.sessions.size === 0) this.state.loaded.clear();
    this.verdicts.bury(effects);
    this.leases.note(effects, now.monotonicMs);
    if (this.state.settings.ephemeral) this.settleWithoutStore();
    for (const effect of this.state.confirmations.flush(this.state.durableVersion, this.state.durableFloor)) effects.push(effect);
    this.verdicts.noticePoison(effects);
    this.ends.watch(effects);
    this.announceCursor(effects);
    this.askForTurn(effects);
    this.state.tally.count(effects);
    return effects;
  }

  /** When `time_passed` is due; undefined: not before another fact. */
  nextWake(): MonotonicMs | undefined {
    const wake = Math.min(this.leases.wakeAt, this.order.nextDue ?? Infinity, this.operator.resumeAt);
    return wake === Infinity ? undefined : monotonicMs(wake);
  }

  /** The cursor to store now. `cursor_saved` with this version is expected before the next call. */
  encodeCursor(): { readonly bytes: Buffer; readonly version: number } {
    const { state } = this;
    this.encoded = { version: state.version, floor: this.order.floor };
    return { bytes: this.order.store(), version: state.version };
  }

  counts(): SubscriptionCounts {
    const { state } = this;
    return {
      committedOffset: state.durableFloor,
      next: state.next,
      unsettled: this.order.unsettledCount,
      inFlight: state.inFlight,
      waitingRetry: this.order.waitingRetryCount,
      blockedLanes: this.order.blocked?.count ?? 0,
      pause: state.pause,
      dropped: this.losses.droppedCount,
      expired: state.expired,
    };
  }

  /** How far verdicts and claims have settled messages, up to the floor: a client that has done less has lost what it knew. */
  get settledThrough(): Offset {
    return offset(Math.min(this.order.floor, this.state.lastSettled));
  }

  /** Where it stands, as of now. Costs what its unsettled messages cost. */
  standing(): StandingPosition {
    return this.seeking.standing();
  }

  /** Which events it takes, by offset. */
  get filters(): FilterHistory {
    return this.state.filters;
  }

  /** True while another session works in this one's place. */
  standsBy(session: SessionId): boolean {
    return this.state.sessions.get(session)?.standby ?? false;
  }

  /** A session that comes now to an exclusive subscription would have to stand by. */
  get isTaken(): boolean {
    return this.places.isTaken;
  }

  /** Messages that a session holds. */
  inFlight(session: SessionId): number {
    return this.state.sessions.get(session)?.inFlightMessages ?? 0;
  }

  /** Their stored encodings together, in bytes. */
  inFlightBytes(session: SessionId): number {
    return this.state.sessions.get(session)?.inFlightBytes ?? 0;
  }

  /** Where every unsettled message is right now. Costs O(messages in flight): for explanations and invariant checks. */
  census(): Census {
    return takeCensus(this.state, this.order);
  }

  private take(fact: Fact, now: Now, effects: Effect[]): void {
    const { state } = this;
    switch (fact.type) {
      case "session_opened":
        this.places.open(fact);
        return;
      case "session_started":
        this.startSession(fact.session, effects);
        return;
      case "session_ended":
        this.departures.end(fact.session, fact.graceful);
        return;
      case "settle_received":
        this.settle(fact, now, effects);
        return;
      case "hand_out_withdrawn":
        this.verdicts.withdraw(fact, effects);
        return;
      case "head_advanced":
        state.head = offset(Math.max(state.head, fact.head));
        return;
      case "chunks_loaded":
        this.takeChunks(fact, effects);
        return;
      case "log_truncated":
        if (state.answered()) this.losses.truncate(fact.first, effects);
        return;
      case "chunk_corrupt":
        if (state.answered()) this.losses.lose(fact.from, fact.through, effects);
        return;
      case "log_purged":
        this.losses.purge(fact.through, fact.matchingAhead, effects);
        return;
      case "cursor_saved":
        if (this.encoded?.version === fact.version) {
          state.durableFloor = offset(Math.max(state.durableFloor, this.encoded.floor));
          state.durableVersion = Math.max(state.durableVersion, fact.version);
        }
        return;
      case "position_moved":
        this.seeking.move(fact, effects);
        // A cursor that is on its way is of before: its floor is none to rely on.
        this.encoded = undefined;
        return;
      case "dead_letters_copied":
        this.verdicts.buried(fact.offsets);
        return;
      case "settings_changed":
      case "filter_changed":
      case "pause_changed":
        this.operator.take(fact, now, effects);
        return;
      case "turn_came":
        this.awaitsTurn = false;
        return;
      case "time_passed":
        return;
      case "flow_changed":
      case "drain_requested":
      case "transport_changed":
      case "batch_taken":
        this.changeSession(fact);
        return;
    }
  }

  private changeSession(fact: Extract<Fact, { type: "flow_changed" | "drain_requested" | "transport_changed" | "batch_taken" }>): void {
    const session = this.state.sessions.get(fact.session);
    if (session === undefined) return;
    if (fact.type === "flow_changed") session.flow = fact.flow;
    else if (fact.type === "drain_requested") session.draining = true;
    else if (fact.type === "transport_changed") session.transportReady = fact.ready;
    else {
      const batch = session.batch(fact.batchId);
      if (batch === undefined) return;
      session.concludeHeld(batch, batch.all, FATE.ACKED, (first, last) => {
        this.verdicts.taken(first, last);
      });
    }
    this.order.sessionChanged(session);
  }

  private startSession(id: SessionId, effects: Effect[]): void {
    const session = this.state.sessions.get(id);
    if (session === undefined || session.started) return;
    session.started = true;
    session.headAtOpen = this.state.head;
    this.losses.tell(id, effects);
    this.verdicts.noticeBlocked(id, effects);
  }

  private takeChunks(fact: Extract<Fact, { type: "chunks_loaded" }>, effects: Effect[]): void {
    const { state } = this;
    const wanted = state.loading;
    if (!state.answered()) return;
    for (const chunk of fact.chunks) {
      state.head = offset(Math.max(state.head, chunk.last));
      state.loaded.add(new LoadedChunk(chunk, state.filters, state.settings.name));
    }
    if (wanted === undefined) return;
    const first = fact.chunks[0]?.first;
    // The answer begins behind what was asked for: what lay there is gone. No answer at all: the log ends before that.
    if (first === undefined && wanted >= state.next) state.head = offset(wanted - 1);
    else if (first === undefined) this.losses.lose(wanted, offset(state.next - 1), effects);
    else if (first > wanted) this.losses.lose(wanted, offset(first - 1), effects);
  }

  private settle(fact: Extract<Fact, { type: "settle_received" }>, now: Now, effects: Effect[]): void {
    const session = this.state.sessions.get(fact.session);
    if (session === undefined) return;
    this.verdicts.settle(session, fact.requestId, fact.settlement, now, effects);
    const { extends: extended, extendAllMs } = fact.settlement;
    if (extended.length > 0 || extendAllMs !== undefined) this.leases.watch(session);
  }

  private settleWithoutStore(): void {
    const { state } = this;
    state.durableVersion = state.version;
    state.durableFloor = offset(Math.max(state.durableFloor, this.order.floor));
    this.announcedVersion = state.version;
  }

  private askForTurn(effects: Effect[]): void {
    const { turn } = this.state;
    if (turn.leftOver && !this.awaitsTurn) {
      this.awaitsTurn = true;
      effects.push({ type: "take_turn" });
    }
    turn.leftOver = false;
  }

  private announceCursor(effects: Effect[]): void {
    const { state } = this;
    if (this.order.floor !== this.notedFloor) {
      // The floor also moves by passing what the filter does not take; retention waits for it.
      if (state.version === this.announcedVersion && !state.settings.ephemeral) state.change();
      this.notedFloor = this.order.floor;
      if (!state.done.isEmpty) state.done.remove(offset(1), this.notedFloor);
      state.filters.settled(this.notedFloor);
    }
    if (state.settings.ephemeral || state.version === state.durableVersion) return;
    // While much is given back, nobody waits for part of it to be stored.
    const urgent = state.confirmations.awaited || this.ends.anyWaiting || (state.leaving.size === 0 && (this.order.awaitsCursor || this.places.anyOpening));
    if (state.version === this.announcedVersion && (!urgent || this.announcedUrgent)) return;
    this.announcedVersion = state.version;
    this.announcedUrgent = urgent;
    effects.push({ type: "save_cursor", urgent });
  }
}
