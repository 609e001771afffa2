import type { EventFilter } from "../event-filter.js";
import { LIMITS } from "../limits.js";
import { OffsetRanges } from "../offset-ranges.js";
import type { DeliveryCause, OffsetRun, SessionId, Settlement, WaitingFor } from "../session.js";
import { monotonicMs, offset, wallMs, type MonotonicMs, type Now, type Offset } from "../units.js";
import { backoffMs } from "./backoff.js";
import { CursorCorrupt, decodeCursor, encodeCursor, type StoredTrouble } from "./cursor-codec.js";
import type { Confirmation } from "./confirmations.js";
import { FATE, type DeliveryBatch } from "./delivery-batch.js";
import type { DeadLetter, Effect } from "./effects.js";
import type { Fact, SessionSettings } from "./facts.js";
import { HandingOut } from "./handing-out.js";
import { LoadedChunk } from "./loaded-chunks.js";
import { SessionState } from "./session-state.js";
import { Settling } from "./settling.js";
import { SubscriptionState } from "./subscription-state.js";

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

/** Where every unsettled message is. The parts are disjoint and together are `unsettled`. */
export interface Census {
  readonly next: Offset;
  readonly unsettled: readonly OffsetRun[];
  readonly held: ReadonlyMap<SessionId, readonly OffsetRun[]>;
  readonly ready: readonly OffsetRun[];
  readonly waiting: readonly OffsetRun[];
  readonly burying: readonly Offset[];
}

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
 *              └──retry──► waiting ──────────────────┘
 *
 * What a restart must not forget raises `version`; `confirm`, and redelivery under a new count, wait until the cursor of that
 * version is durable.
 */
export class Subscription {
  private readonly state: SubscriptionState;
  private readonly handingOut: HandingOut;
  /** A lower bound of every lease's deadline: waking early costs a look, waking late would cost a lease. */
  private leaseWake = Infinity;
  private announcedVersion = 0;
  private announcedUrgent = false;
  private notedFloor: Offset;
  /** The cursor on its way to disk: its floor is the committed offset once `cursor_saved` says so. */
  private encoded: { version: number; floor: Offset } | undefined;
  /** Losses that no session has been told of, for lack of one. */
  private untoldGap: { first: Offset; last: Offset; matchingCount: number } | undefined;
  private readonly buriedNotices: { version: number; deadLetter: DeadLetter }[] = [];

  private constructor(state: SubscriptionState) {
    this.state = state;
    this.handingOut = new HandingOut(state);
    this.notedFloor = state.floor;
  }

  /** A new subscription that has settled everything up to `after`, on a log whose last durable message is `head`. */
  static begin(settings: SubscriptionSettings, after: Offset, head: Offset): Subscription {
    return new Subscription(new SubscriptionState(settings, offset(after + 1), head));
  }

  /** From a cursor that `encodeCursor` made. Throws CursorCorrupt on bytes that are none. */
  static restore(settings: SubscriptionSettings, cursor: Uint8Array, head: Offset, now: Now): Subscription {
    const { next, unsettled, troubles } = decodeCursor(cursor);
    if (unsettled.max !== undefined && unsettled.max >= next) throw new CursorCorrupt("an unsettled message lies ahead of the cursor");
    const state = new SubscriptionState(settings, next, head, unsettled);
    const plain = new OffsetRanges();
    plain.addAll(unsettled);
    for (const trouble of troubles) {
      for (const { first, last } of trouble.offsets.runs()) {
        if (plain.remove(first, last) !== last - first + 1) throw new CursorCorrupt("a troubled message is not unsettled");
      }
      restoreTrouble(state, trouble, now);
    }
    for (const { first, last } of plain.runs()) {
      state.returned.add({ attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" }, first, last, 0, Infinity);
    }
    return new Subscription(state);
  }

  /** Takes one fact and says what to do about it. */
  step(fact: Fact, now: Now): Effect[] {
    const effects: Effect[] = [];
    this.expireLeases(now.monotonicMs, effects);
    this.take(fact, now, effects);
    if (this.state.settings.ephemeral) this.settleWithoutStore();
    this.handingOut.run(now.monotonicMs, effects);
    this.noteLeases(effects, now.monotonicMs);
    if (this.state.settings.ephemeral) this.settleWithoutStore();
    for (const effect of this.state.confirmations.flush(this.state.durableVersion, this.state.durableFloor)) effects.push(effect);
    this.noticeBuried(effects);
    this.watchSessions(effects);
    this.announceCursor(effects);
    return effects;
  }

  /** When `time_passed` is due; undefined: not before another fact. */
  nextWake(): MonotonicMs | undefined {
    const wake = Math.min(this.leaseWake, this.state.returned.nextDue ?? Infinity);
    return wake === Infinity ? undefined : monotonicMs(wake);
  }

  /** The cursor to store now. `cursor_saved` with this version is expected before the next call. */
  encodeCursor(): { readonly bytes: Buffer; readonly version: number } {
    const { state } = this;
    this.encoded = { version: state.version, floor: state.floor };
    const bytes = encodeCursor({ next: state.next, unsettled: state.unsettled, troubles: this.troubles() });
    return { bytes, version: state.version };
  }

  counts(): SubscriptionCounts {
    const { state } = this;
    return {
      committedOffset: state.durableFloor,
      next: state.next,
      unsettled: state.unsettled.size,
      inFlight: state.inFlight,
      waitingRetry: state.returned.waitingCount,
    };
  }

  /** Messages that a session holds. */
  inFlight(session: SessionId): number {
    return this.state.sessions.get(session)?.inFlightMessages ?? 0;
  }

  /** Why nothing goes out to this session right now; undefined when something is on its way. */
  waitingFor(id: SessionId): WaitingFor | undefined {
    const { state } = this;
    const session = state.sessions.get(id);
    if (session === undefined) return undefined;
    if (session.flow.paused) return "PAUSED";
    const nothingReady = state.returned.groups.length === 0;
    if (nothingReady && state.next > state.head) return state.returned.waitingCount > 0 ? "RETRY_DELAY" : "NOTHING_NEW";
    if (!session.hasRoom || !session.transportReady || session.suspectInFlight) return "FLOW";
    if (nothingReady && state.unsettledRoom <= 0) return "UNSETTLED_LIMIT";
    return undefined;
  }

  /** Where every unsettled message is right now. Costs O(messages in flight): for explanations and invariant checks. */
  census(): Census {
    const { state } = this;
    const held = new Map<SessionId, OffsetRun[]>();
    for (const session of state.sessions.values()) {
      const runs: OffsetRun[] = [];
      for (const batch of session.held.values()) {
        batch.visit(batch.all, (first, last, fate) => {
          if (fate === FATE.HELD) runs.push({ first, last });
        });
      }
      held.set(session.id, runs);
    }
    return {
      next: state.next,
      unsettled: state.unsettled.runs(),
      held,
      ready: state.returned.groups.flatMap((group) => group.offsets.runs()),
      waiting: state.returned.waitingRetries().flatMap((entry) => entry.offsets.runs()),
      burying: [...state.burials.keys()],
    };
  }

  private take(fact: Fact, now: Now, effects: Effect[]): void {
    const { state } = this;
    switch (fact.type) {
      case "session_opened":
        this.openSession(fact.session, fact.settings, effects);
        return;
      case "session_ended":
        this.endSession(fact.session, fact.graceful, effects);
        return;
      case "settle_received":
        this.settle(fact.session, fact.requestId, fact.settlement, now, effects);
        return;
      case "head_advanced":
        state.head = offset(Math.max(state.head, fact.head));
        return;
      case "chunks_loaded":
        this.takeChunks(fact, effects);
        return;
      case "log_truncated":
        state.loading = undefined;
        this.lose(offset(state.floor + 1), offset(fact.first - 1), effects);
        return;
      case "chunk_corrupt":
        state.loading = undefined;
        this.lose(fact.from, fact.through, effects);
        return;
      case "cursor_saved":
        if (this.encoded?.version === fact.version) {
          state.durableFloor = offset(Math.max(state.durableFloor, this.encoded.floor));
          state.durableVersion = Math.max(state.durableVersion, fact.version);
        }
        return;
      case "dead_letters_copied":
        this.bury(fact.offsets);
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
      session.conclude(batch, batch.all, FATE.ACKED, (first, last, before) => {
        if (before === FATE.HELD) this.acked(first, last);
      });
    }
  }

  private openSession(id: SessionId, settings: SessionSettings, effects: Effect[]): void {
    this.state.sessions.set(id, new SessionState(id, settings, this.state.head));
    if (this.untoldGap === undefined) return;
    effects.push({ type: "gap", session: id, ...this.untoldGap });
    this.untoldGap = undefined;
  }

  /** Leases are free at once. AUTO is at most once: what was handed to the transport counts as taken. */
  private endSession(id: SessionId, graceful: boolean, effects: Effect[]): void {
    const { state } = this;
    const session = state.sessions.get(id);
    if (session === undefined) return;
    const fate = session.isAuto ? FATE.ACKED : graceful ? FATE.RELEASED : FATE.LOST;
    session.concludeAll(fate, (batch, first, last) => {
      if (session.isAuto) this.acked(first, last);
      else if (graceful) this.release(batch, first, last);
      else this.loseLease(session, batch, first, last, "DISCONNECT", effects);
    });
    state.sessions.delete(id);
    state.confirmations.forget(id);
  }

  private takeChunks(fact: Extract<Fact, { type: "chunks_loaded" }>, effects: Effect[]): void {
    const { state } = this;
    const wanted = state.loading;
    state.loading = undefined;
    for (const chunk of fact.chunks) {
      state.head = offset(Math.max(state.head, chunk.last));
      state.loaded.add(new LoadedChunk(chunk, state.settings.filter, state.settings.name));
    }
    const first = fact.chunks[0]?.first;
    // The answer begins behind what was asked for: what lay there is gone.
    if (wanted !== undefined && first !== undefined && first > wanted) this.lose(wanted, offset(first - 1), effects);
  }

  private settle(id: SessionId, requestId: bigint, settlement: Settlement, now: Now, effects: Effect[]): void {
    const { state } = this;
    const session = state.sessions.get(id);
    if (session === undefined) return;
    const confirmation: { -readonly [K in keyof Confirmation]: Confirmation[K] } = { session: id, requestId, failures: [], version: 0, burials: 0 };
    const buried: DeadLetter[] = [];
    const settling = new Settling(session, requestId, now.monotonicMs, {
      acked: (first, last) => { this.acked(first, last); },
      released: (batch, first, last) => { this.release(batch, first, last); },
      rejected: (batch, first, last, reason) => {
        this.giveUp(session, batch, first, last, "REJECTED", reason, confirmation, buried);
      },
      retried: (batch, first, last, delayMs, reason) => {
        if (batch.facts.attempt >= state.settings.maxAttempts) {
          this.giveUp(session, batch, first, last, "MAX_ATTEMPTS", reason, confirmation, buried);
        } else this.retry(batch, first, last, delayMs, reason, now);
      },
    });
    confirmation.failures = settling.apply(settlement);
    if (settlement.extends.length > 0 || settlement.extendAllMs !== undefined) this.leaseWake = Math.min(this.leaseWake, session.earliestDeadline());
    if (buried.length > 0) effects.push({ type: "bury", deadLetters: buried });
    if (requestId === 0n && confirmation.failures.length === 0) return;
    confirmation.version = state.version;
    state.confirmations.add(confirmation);
  }

  private acked(first: Offset, last: Offset): void {
    this.state.unsettled.remove(first, last);
    this.state.change();
  }

  private release(batch: DeliveryBatch, first: Offset, last: Offset): void {
    const { attempt, deliveryCount, lastReason } = batch.facts;
    this.state.returned.add({ attempt, deliveryCount, lastReason, cause: "RELEASED" }, first, last, 0, Infinity);
  }

  private retry(batch: DeliveryBatch, first: Offset, last: Offset, delayMs: number | undefined, reason: string, now: Now): void {
    const { attempt, deliveryCount } = batch.facts;
    const delay = delayMs ?? backoffMs(this.state.settings, attempt, first);
    const offsets = new OffsetRanges();
    offsets.add(first, last);
    this.state.returned.wait({
      offsets,
      attempt: attempt + 1,
      deliveryCount,
      cause: "RETRY",
      lastReason: reason,
      afterVersion: this.state.change(),
      dueAt: monotonicMs(now.monotonicMs + delay),
      dueWallMs: wallMs(Math.max(1, Math.round(now.wallMs + delay))),
    });
  }

  /** A hand-out ended without a verdict. */
  private loseLease(session: SessionState, batch: DeliveryBatch, first: Offset, last: Offset, cause: DeliveryCause, effects: Effect[]): void {
    const { attempt, deliveryCount, lastReason } = batch.facts;
    if (batch.alone && batch.count === 1 && deliveryCount >= this.state.settings.maxDeliveries) {
      const buried: DeadLetter[] = [];
      this.giveUp(session, batch, first, last, "MAX_DELIVERIES", lastReason, undefined, buried);
      if (buried.length > 0) effects.push({ type: "bury", deadLetters: buried });
      return;
    }
    const trouble = { attempt, deliveryCount: deliveryCount + 1, cause, lastReason };
    this.state.returned.add(trouble, first, last, this.state.change(), batch.alone ? batch.count : Infinity);
  }

  /** Sends messages to the dead letters, or for an ephemeral subscriber, which has none, settles them. */
  private giveUp(
    session: SessionState,
    batch: DeliveryBatch,
    first: Offset,
    last: Offset,
    reason: DeadLetter["reason"],
    detail: string,
    confirmation: Confirmation | undefined,
    buried: DeadLetter[],
  ): void {
    if (this.state.settings.ephemeral) {
      this.acked(first, last);
      return;
    }
    const { attempt, deliveryCount } = batch.facts;
    const facts = { reason, detail, attempts: attempt, deliveries: deliveryCount, holderSession: session.id, holderClient: session.settings.clientId };
    for (let at: Offset = first; at <= last; at = offset(at + 1)) {
      const deadLetter: DeadLetter = { offset: at, ...facts };
      this.state.burials.set(at, { deadLetter, confirmation });
      if (confirmation !== undefined) confirmation.burials++;
      buried.push(deadLetter);
    }
  }

  /** The copies are in the commit that is being filled, and so is the cursor without these messages. */
  private bury(offsets: readonly Offset[]): void {
    const { state } = this;
    for (const at of offsets) {
      const burial = state.burials.get(at);
      if (burial === undefined) continue;
      state.burials.delete(at);
      state.unsettled.remove(at, at);
      const version = state.change();
      this.buriedNotices.push({ version, deadLetter: burial.deadLetter });
      if (burial.confirmation === undefined) continue;
      burial.confirmation.burials--;
      burial.confirmation.version = version;
    }
  }

  /** What is not in flight of `first..last` can never be read again; whoever is there is told. */
  private lose(first: Offset, last: Offset, effects: Effect[]): void {
    const { state } = this;
    if (last < first) return;
    const dropped = state.returned.drop(first, last);
    for (const run of dropped.runs()) state.unsettled.remove(run.first, run.last);
    let matchingCount = dropped.size;
    const ahead = Math.max(first, state.next);
    if (last >= ahead) {
      if (state.settings.filter.takesEverything) matchingCount += last - ahead + 1;
      state.next = offset(Math.max(state.next, last + 1));
    } else if (matchingCount === 0) return;
    state.change();
    const gap = { first, last, matchingCount };
    if (state.sessions.size === 0) {
      const before = this.untoldGap;
      this.untoldGap = before === undefined ? gap : { first: before.first, last, matchingCount: before.matchingCount + matchingCount };
    }
    for (const session of state.sessions.keys()) effects.push({ type: "gap", session, ...gap });
  }

  private expireLeases(now: MonotonicMs, effects: Effect[]): void {
    if (now < this.leaseWake) return;
    this.leaseWake = Infinity;
    for (const session of this.state.sessions.values()) {
      for (const batch of [...session.held.values()]) {
        for (const positions of batch.expired(now)) {
          session.conclude(batch, positions, FATE.LOST, (first, last, before) => {
            if (before === FATE.HELD) this.loseLease(session, batch, first, last, "TIMEOUT", effects);
          });
        }
      }
      this.leaseWake = Math.min(this.leaseWake, session.earliestDeadline());
    }
  }

  private noteLeases(effects: readonly Effect[], now: MonotonicMs): void {
    for (const effect of effects) {
      if (effect.type === "deliver" && effect.batch.leaseMs > 0) this.leaseWake = Math.min(this.leaseWake, now + effect.batch.leaseMs);
    }
  }

  private settleWithoutStore(): void {
    const { state } = this;
    state.durableVersion = state.version;
    state.durableFloor = offset(Math.max(state.durableFloor, state.floor));
    this.announcedVersion = state.version;
  }

  private noticeBuried(effects: Effect[]): void {
    while (this.buriedNotices[0] !== undefined && this.buriedNotices[0].version <= this.state.durableVersion) {
      const { deadLetter } = this.buriedNotices.shift() as { deadLetter: DeadLetter };
      const range = { first: deadLetter.offset, last: deadLetter.offset };
      const detail = `${deadLetter.reason}${deadLetter.detail === "" ? "" : `: ${deadLetter.detail}`}`;
      for (const session of this.state.sessions.keys()) effects.push({ type: "notice", session, reason: "DEAD_LETTERED", detail, range });
    }
  }

  /** Tells who has caught up, and ends who has reached a stop or finished draining. */
  private watchSessions(effects: Effect[]): void {
    const { state } = this;
    for (const session of state.sessions.values()) {
      if (session.finished) continue;
      if (!session.caughtUp && state.handedOutThrough(session.headAtOpen)) {
        session.caughtUp = true;
        const detail = `everything up to offset ${session.headAtOpen}, the head when this session opened, has been handed out`;
        effects.push({ type: "notice", session: session.id, reason: "CAUGHT_UP", detail, range: undefined });
      }
      if (!this.isDone(session) || state.confirmations.owes(session.id)) continue;
      session.finished = true;
      effects.push({ type: "finish_session", session: session.id });
    }
  }

  private isDone(session: SessionState): boolean {
    const { state } = this;
    if (session.inFlightMessages > 0) return false;
    if (session.draining || session.stopReached) return true;
    if (session.settings.stop.kind !== "at_head") return false;
    return session.isAuto ? state.handedOutThrough(session.headAtOpen) : state.floor >= session.headAtOpen;
  }

  private announceCursor(effects: Effect[]): void {
    const { state } = this;
    if (state.floor !== this.notedFloor) {
      // The floor also moves by passing what the filter does not take; retention waits for it.
      if (state.version === this.announcedVersion && !state.settings.ephemeral) state.change();
      this.notedFloor = state.floor;
    }
    if (state.settings.ephemeral || state.version === state.durableVersion) return;
    const urgent = state.confirmations.awaited || state.returned.groups.some((group) => group.afterVersion > state.durableVersion);
    if (state.version === this.announcedVersion && (!urgent || this.announcedUrgent)) return;
    this.announcedVersion = state.version;
    this.announcedUrgent = urgent;
    effects.push({ type: "save_cursor", urgent });
  }

  /** Everything unsettled that has a history, wherever it is. */
  private troubles(): StoredTrouble[] {
    const { state } = this;
    const troubles: StoredTrouble[] = state.returned.waitingRetries().slice();
    for (const group of state.returned.groups) {
      if (group.attempt > 1 || group.deliveryCount > 1) troubles.push({ ...group, dueWallMs: wallMs(0) });
    }
    for (const session of state.sessions.values()) {
      for (const batch of session.held.values()) {
        if (batch.facts.attempt === 1 && batch.facts.deliveryCount === 1) continue;
        const offsets = new OffsetRanges();
        batch.visit(batch.all, (first, last, fate) => {
          if (fate === FATE.HELD) offsets.add(first, last);
        });
        troubles.push({ ...batch.facts, offsets, dueWallMs: wallMs(0) });
      }
    }
    for (const [at, { deadLetter }] of state.burials) {
      // Not yet copied: after a crash the message comes once more, with the counts it had.
      const offsets = new OffsetRanges();
      offsets.add(at, at);
      troubles.push({ offsets, attempt: deadLetter.attempts, deliveryCount: deadLetter.deliveries, cause: "RETRY", lastReason: deadLetter.detail, dueWallMs: wallMs(0) });
    }
    return troubles;
  }
}

function restoreTrouble(state: SubscriptionState, trouble: StoredTrouble, now: Now): void {
  if (trouble.dueWallMs > now.wallMs) {
    // A wall clock that jumped back must not keep a message for longer than any delay that a client may ask for.
    const dueAt = monotonicMs(now.monotonicMs + Math.min(trouble.dueWallMs - now.wallMs, LIMITS.retryDelayMsMax));
    state.returned.wait({ ...trouble, afterVersion: 0, dueAt });
    return;
  }
  for (const { first, last } of trouble.offsets.runs()) state.returned.add(trouble, first, last, 0, Infinity);
}
