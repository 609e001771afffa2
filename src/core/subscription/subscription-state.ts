import { LIMITS } from "../limits.js";
import type { OffsetRun, SessionId } from "../session.js";
import { OffsetRanges } from "../offset-ranges.js";
import { offset, OFFSET_MAX, wallMs, type Offset } from "../units.js";
import { Confirmations, type Confirmation } from "./confirmations.js";
import { FATE } from "./delivery-batch.js";
import type { DeadLetter, Effect } from "./effects.js";
import { FilterHistory } from "./filter-history.js";
import { LoadedChunks } from "./loaded-chunks.js";
import type { PauseInForce } from "./pause.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionSettings } from "./settings.js";
import type { SubscriptionTally } from "./tally.js";
import type { TurnShare } from "./turn-budget.js";
import { FRESH, hasHistory, SOUGHT, type Trouble } from "./trouble.js";

/** A message that has left its lease for the dead letters, but whose copy is not in a commit yet. */
export interface Burial {
  readonly deadLetter: DeadLetter;
  /** The settles that wait for it: more than one when the verdict was repeated. */
  readonly owed: Confirmation[];
  /** The subscriber was moved since: the letter is kept, and the message is none that the order waits for. */
  detached: boolean;
}

/** What the machine knows, but for the order of its messages. */
export class SubscriptionState {
  /** Sessions in the order in which they opened. */
  readonly sessions = new Map<SessionId, SessionState>();
  /** Sessions that are over and give back what they held. */
  readonly leaving = new Set<SessionState>();
  readonly burials = new Map<Offset, Burial>();
  /** What the burials of this step are; asked for together at its end. */
  givenUp: DeadLetter[] = [];
  readonly confirmations = new Confirmations();
  readonly loaded = new LoadedChunks();
  readonly filters: FilterHistory;
  /**
   * What clients had finished before and the order has not come to: it settles them instead of handing them out. Bounded by
   * `maxUnsettled` runs and one open's more.
   */
  readonly done = new OffsetRanges();
  /** The furthest message that a verdict or a client's claim has settled. What the filter passed does not count. */
  lastSettled = offset(0);
  /** While there is one, nothing is handed out. */
  pause: PauseInForce | undefined;
  /** The outstanding `load`. */
  loading: Offset | undefined;
  /** It was asked for before the subscription was moved: its answer is not what is wanted now. */
  private loadIsStale = false;
  /** What is handed out up to here comes once more: the subscription had been there when it was moved. */
  private soughtThrough = offset(0);
  /** Everything up to it was purged: nothing of it blocks a lane. */
  purgedThrough = offset(0);
  /** The wall clock as of the step at hand: a message whose time has passed is settled where it would be handed out. */
  wallMs = wallMs(0);
  /** Messages that expired before they were settled, ever. */
  expired = 0;
  /** Counts every change that a restart must not forget. */
  version = 0;
  durableVersion = 0;

  /**
   * @param next the first offset never looked at
   * @param durableFloor the committed offset; goes back only when an operator moves the subscription
   * @param tally counts what was done, for others to read
   * @param turn how much of the turn at hand is this subscription's
   */
  constructor(
    public settings: SubscriptionSettings,
    public next: Offset,
    public head: Offset,
    public durableFloor: Offset,
    readonly tally: SubscriptionTally,
    readonly turn: TurnShare,
  ) {
    this.filters = new FilterHistory(settings.filter);
  }

  get inFlight(): number {
    let total = 0;
    for (const session of this.holders()) total += session.inFlightMessages;
    return total;
  }

  /** Notes a change that has to be stored, and says the version that holds it. */
  change(): number {
    return ++this.version;
  }

  /** Sessions that may hold messages, over or not. */
  *holders(): Iterable<SessionState> {
    yield* this.sessions.values();
    yield* this.leaving;
  }

  /** Goes on behind `after`, but for what counts as settled beyond it. */
  move(after: Offset, settled: readonly OffsetRun[]): void {
    this.soughtThrough = offset(Math.max(this.soughtThrough, this.next - 1));
    this.next = offset(after + 1);
    this.head = offset(Math.max(this.head, after));
    this.lastSettled = offset(Math.min(this.lastSettled, after));
    // Retention must not take what has just come back into reach; what a move ahead lets go of, it lets go of when that is durable.
    this.durableFloor = offset(Math.min(this.durableFloor, after));
    this.done.remove(offset(1), OFFSET_MAX);
    for (const { first, last } of settled) this.done.add(first, last);
    this.filters.restore([]);
    this.loaded.clear();
    this.loadIsStale = this.loading !== undefined;
    this.change();
  }

  /** The history of a message that was not handed out since the subscription is where it is. */
  beginning(at: Offset): Trouble {
    return at <= this.soughtThrough ? SOUGHT : FRESH;
  }

  /** The last offset whose messages begin as this one does. */
  beginsAlikeThrough(at: Offset): Offset {
    return at <= this.soughtThrough ? this.soughtThrough : OFFSET_MAX;
  }

  /** The answer to the outstanding load is here; false: it is none to what would be asked now. */
  answered(): boolean {
    const isFresh = !this.loadIsStale;
    this.loading = undefined;
    this.loadIsStale = false;
    return isFresh;
  }

  /** Sessions that may be spoken to. */
  *startedSessions(): Iterable<SessionState> {
    for (const session of this.sessions.values()) if (session.started) yield session;
  }

  /** A message leaves for the dead letters. */
  bury(deadLetter: DeadLetter, owed: Confirmation | undefined): void {
    const under = this.burials.get(deadLetter.offset);
    if (owed !== undefined) owed.waits++;
    if (under !== undefined) {
      // Given up again since the subscriber was moved, before the letter of the first time was written: that one will do.
      under.detached = false;
      if (owed !== undefined) under.owed.push(owed);
      return;
    }
    this.burials.set(deadLetter.offset, { deadLetter, owed: owed === undefined ? [] : [owed], detached: false });
    this.givenUp.push(deadLetter);
  }

  /** What expires becomes a dead letter. */
  get keepsExpired(): boolean {
    return this.settings.onExpiry === "DEAD_LETTER" && !this.settings.ephemeral;
  }

  /** What expires stays where it is until more dead letters are stored, so that a great backlog that has expired does not fill the memory. */
  get buriesNoMore(): boolean {
    return this.burials.size >= LIMITS.buryingExpiredMax;
  }

  /** A message that nobody holds has expired, and leaves for the dead letters. It counts as expired when it is there. */
  buryExpired(at: Offset, { attempt, deliveryCount, lastReason }: Trouble): void {
    this.bury({ offset: at, reason: "EXPIRED", detail: lastReason, attempts: attempt, deliveries: deliveryCount, holderSession: "", holderClient: "" }, undefined);
  }

  /** Messages are settled because they expired. Nobody gave a verdict on them. */
  noteExpired(count: number): void {
    this.expired += count;
    this.tally.expired += count;
    this.change();
  }

  noteSettled(last: Offset): void {
    if (last > this.lastSettled) this.lastSettled = last;
  }

  /** Advances over what was done before, where nothing unsettled can be in its way. */
  passDone(): void {
    while (this.done.min !== undefined && this.done.min <= this.next) {
      const { first, last } = this.done.run(0);
      this.next = offset(Math.max(this.next, last + 1));
      this.noteSettled(last);
      this.done.remove(first, last);
      this.change();
    }
  }

  /** Advances over messages that the filter does not take; the next one to hand out is then at `next`, or not loaded. */
  passFiltered(): void {
    for (;;) {
      const loaded = this.next > this.head ? undefined : this.loaded.find(this.next);
      if (loaded === undefined) return;
      const index = loaded.nextTaken(this.next - loaded.chunk.first);
      this.next = offset(loaded.chunk.first + index);
      if (index < loaded.chunk.count) return;
    }
  }

  /** Asks for a chunk, unless an answer is awaited already. */
  wants(from: Offset | undefined, effects: Effect[]): void {
    if (from === undefined || this.loading !== undefined) return;
    this.loading = from;
    effects.push({ type: "load", from });
  }

  /** Messages with a history that sessions hold or that are on their way to the dead letters. */
  *troubledElsewhere(): Iterable<{ trouble: Trouble; first: Offset; last: Offset }> {
    for (const session of this.holders()) {
      for (const batch of session.held.values()) {
        if (!hasHistory(batch.facts)) continue;
        const held: { trouble: Trouble; first: Offset; last: Offset }[] = [];
        batch.visit(batch.all, (first, last, fate) => {
          if (fate === FATE.HELD) held.push({ trouble: batch.facts, first, last });
        });
        yield* held;
      }
    }
    for (const [at, { deadLetter, detached }] of this.burials) {
      if (detached) continue;
      // Not yet copied: after a crash the message comes once more, with the counts it had.
      const { attempts: attempt, deliveries: deliveryCount, detail: lastReason, reason } = deadLetter;
      const trouble: Trouble = { attempt, deliveryCount, cause: "RETRY", lastReason };
      // What expired expires again; there may be many of them that were never handed out.
      if (reason !== "EXPIRED" || hasHistory(trouble)) yield { trouble, first: at, last: at };
    }
  }
}
