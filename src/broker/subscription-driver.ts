import type { Chunk } from "../core/chunk.js";
import type { BrokerError } from "../core/errors.js";
import type { EventFilter } from "../core/event-filter.js";
import type { Claims, OffsetRun, SessionId, Sharing, WaitingFor } from "../core/session.js";
import type { Effect } from "../core/subscription/effects.js";
import type { Explaining } from "../core/subscription/explaining.js";
import type { FilterHistory } from "../core/subscription/filter-history.js";
import type { Fact, SessionSettings } from "../core/subscription/facts.js";
import type { StandingPosition } from "../core/subscription/seeking.js";
import type { DeliveryRules, Subscription, SubscriptionCounts, SubscriptionSettings } from "../core/subscription/subscription.js";
import { offset, type Offset } from "../core/units.js";
import type { Put } from "../ports/state.js";
import { Burial } from "./burial.js";
import { ChunkSource } from "./chunk-source.js";
import type { LoadedFact } from "./chunk-source.js";
import { CursorWriter } from "./cursor-writer.js";
import type { DriverOwner } from "./driver-owner.js";
import type { DriverParts } from "./driver-parts.js";
import type { KeptRecord, DeadLetterCopy, StoredCursor } from "./cursor-writer.js";
import type { LiveSession, SessionHome } from "./live-session.js";
import type { Alarm } from "./scheduler.js";
import { tellSession } from "./session-effects.js";
import { endWith, isGraceful } from "./session-end.js";
import type { SessionEnd } from "./session-end.js";
import type { TurnTaker } from "./shared-turns.js";
import { deadLetterKey } from "./state-keys.js";
import { SubscriptionBacklog } from "./subscription-backlog.js";
import { checkEarlierFilters, movedError } from "./subscription-errors.js";

/**
 * Runs one subscription: everything that happens becomes a fact, every effect is carried out in order. Facts that effects
 * bring about wait until the step at hand is done, so the machine is never re-entered.
 */
export class SubscriptionDriver implements SessionHome, TurnTaker {
  readonly name: string;
  /** Which events it takes, by offset. */
  readonly filters: FilterHistory;
  readonly explaining: Explaining;
  /** What it was told last; what it was made with until then. */
  rules: DeliveryRules;
  private readonly sessions = new Map<SessionId, LiveSession>();
  /** Called when a session is ready, or over before it was. */
  private readonly opening = new Map<SessionId, () => void>();
  private readonly source: ChunkSource;
  readonly backlog: SubscriptionBacklog;
  private readonly alarm: Alarm;
  /** Undefined for an ephemeral subscription, which stores nothing. */
  private readonly cursor: CursorWriter | undefined;
  private readonly burial: Burial;
  private facts: Fact[] = [];
  private stepping = false;
  private over = false;

  /** @param stored undefined for an ephemeral subscription */
  constructor(
    settings: SubscriptionSettings,
    private readonly machine: Subscription,
    private readonly parts: DriverParts,
    private readonly owner: DriverOwner<SubscriptionDriver>,
    stored: StoredCursor | undefined,
  ) {
    const { log, state, tail, clock, scheduler, turns, journal } = parts;
    this.name = settings.name;
    this.rules = settings;
    this.filters = machine.filters;
    this.explaining = machine.explaining;
    this.source = new ChunkSource(log, tail, turns, journal);
    this.backlog = new SubscriptionBacklog(settings.name, machine, parts, stored?.dropped ?? 0);
    this.alarm = scheduler.alarm(() => {
      this.post({ type: "time_passed" });
    });
    // What is on its way to the dead letters is copied, purged or not.
    this.burial = new Burial(settings.name, log.stored, tail, clock, {
      bury: (copies, offsets) => this.bury(copies, offsets),
      burialFailed: (error) => {
        this.lose(error);
      },
    });
    if (stored === undefined) return;
    this.cursor = new CursorWriter(settings.name, state, clock, scheduler, stored, {
      encodeCursor: () => machine.encodeCursor(),
      droppedCount: () => this.backlog.droppedCount,
      cursorSaved: (version) => {
        this.post({ type: "cursor_saved", version });
        this.owner.cursorSaved();
      },
      cursorLost: (error) => {
        this.lose(error);
      },
    });
  }

  get events(): readonly string[] {
    return this.filters.current.patterns;
  }

  get isOver(): boolean {
    return this.over;
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  get deadLetterCount(): number {
    return this.cursor?.deadLetters ?? 0;
  }

  counts(): SubscriptionCounts {
    return this.machine.counts();
  }

  inFlight(session: SessionId): number {
    return this.machine.inFlight(session);
  }

  inFlightBytes(session: SessionId): number {
    return this.machine.inFlightBytes(session);
  }

  waitingFor(session: SessionId): WaitingFor | undefined {
    return this.explaining.waitingFor(session);
  }

  standsBy(session: SessionId): boolean {
    return this.machine.standsBy(session);
  }

  /** How the sessions that are open share; undefined: there are none. */
  get sharing(): Sharing | undefined {
    const [any] = this.sessions.values();
    return any?.sharing;
  }

  /** A session of an exclusive subscription would have to stand by. */
  get isTaken(): boolean {
    return this.machine.isTaken;
  }

  /** How far verdicts and claims have settled messages, durably or not. */
  get settledThrough(): Offset {
    return this.machine.settledThrough;
  }

  committedOffset(): Offset {
    return this.machine.counts().committedOffset;
  }

  headOffset(): Offset {
    return offset(this.parts.log.head().next - 1);
  }

  /** Matching messages that are neither settled nor in flight, as far as counted. */
  backlogCount(): number {
    return this.backlog.count();
  }

  /** Gives a session its place. Resolves when what it claims is durable, or when it is over. */
  attach(session: LiveSession, settings: SessionSettings, claims: Claims): Promise<void> {
    return new Promise((resolve) => {
      this.sessions.set(session.id, session);
      this.opening.set(session.id, resolve);
      if (this.sessions.size === 1) this.owner.awoke(this);
      this.headAdvanced();
      // The first session may be the one that this subscription was made for before a purge.
      void this.passPurged();
      this.post({ type: "session_opened", session: session.id, settings, claims });
    });
  }

  /** The client was told that the session is open: deliveries may begin. */
  start(session: LiveSession): void {
    this.headAdvanced();
    this.post({ type: "session_started", session: session.id });
  }

  /** A session ended, whoever ended it. */
  sessionOver(session: LiveSession, end: SessionEnd): void {
    if (!this.sessions.delete(session.id)) return;
    this.opened(session.id);
    this.owner.sessionOver(session, end);
    this.post({ type: "session_ended", session: session.id, graceful: isGraceful(end.reason) });
    if (this.sessions.size === 0) this.owner.emptied(this);
  }

  /** An operator changed how messages are handed out; sessions hear the detail. */
  changeRules(rules: DeliveryRules, detail: string): void {
    this.rules = rules;
    this.post({ type: "settings_changed", rules, detail });
  }

  /** An operator changed the filter. It holds at once; store it with `keep`. Throws FILTER_CHANGES_PENDING. */
  changeFilter(filter: EventFilter, detail: string): void {
    checkEarlierFilters(this.name, this.filters.earlier.length);
    this.post({ type: "filter_changed", filter, detail });
    this.backlog.restart();
  }

  /** Costs what its unsettled messages cost. */
  standing(): StandingPosition {
    return this.machine.standing();
  }

  /** An operator moves it. It holds at once, and is durable when it resolves. Rejects like `keep`. */
  async move(after: Offset, settled: readonly OffsetRun[], detail: string): Promise<void> {
    this.post({ type: "position_moved", after, settled, detail });
    this.backlog.restart();
    await this.flush();
    if (this.over) throw movedError(this.name);
  }

  /** Stores something in one commit with the cursor of now. Rejects with SUBSCRIPTION_MOVED when that is not known to have happened. */
  async keep(record: KeptRecord): Promise<void> {
    this.cursor?.keep(record);
    await this.flush();
    if (this.over) throw movedError(this.name);
  }

  /** Messages up to the head are durable. */
  headAdvanced(): void {
    this.post({ type: "head_advanced", head: this.headOffset() });
  }

  /** Lets go of what was purged or dropped by retention, and is hidden. Repeating it changes nothing. False: there was nothing. */
  async passPurged(): Promise<boolean> {
    const { purgedThrough: through } = this.parts.log;
    const { committedOffset, next } = this.counts();
    if (this.over || committedOffset >= through) return false;
    const matchingAhead = this.backlog.aheadThrough(through) ?? (await this.backlog.countedThrough(through));
    // While it was counted the subscription may have gone on.
    if (this.counts().next !== next) return this.passPurged();
    this.post({ type: "log_purged", through, matchingAhead });
    return true;
  }

  /** Without a session: moves over what the filter passes of these chunks, up to the first message that it takes. */
  leadOver(headers: readonly Chunk[]): void {
    this.post({ type: "head_advanced", head: this.headOffset() });
    this.post({ type: "chunks_loaded", chunks: headers });
  }

  /** Takes a fact, now or after the one at hand. Facts after the end are dropped. */
  post(fact: Fact): void {
    if (this.over) return;
    this.facts.push(fact);
    if (!this.stepping) this.stepAll();
  }

  turnCame(): void {
    this.post({ type: "turn_came" });
  }

  /** Resolves when everything settled so far is durable. */
  async flush(): Promise<void> {
    await this.cursor?.flush();
  }

  /**
   * Takes away dead letters that are there, in one commit with `also`. Resolves when it is durable; with false when the
   * subscription is over before that is known.
   */
  removeLetters(letters: readonly Offset[], also: readonly Put[]): Promise<boolean> {
    return this.cursor?.removeLetters(letters.map((at) => deadLetterKey(this.name, at)), also) ?? Promise.resolve(false);
  }

  /** Ends every session with this error, then stops for good. What is stored stays. */
  close(error: BrokerError): void {
    for (const session of [...this.sessions.values()]) session.end(endWith(error));
    this.over = true;
    this.facts = [];
    this.alarm.clear();
    this.parts.sharedTurns.forget(this);
    this.burial.close();
    this.cursor?.close();
  }

  private stepAll(): void {
    this.stepping = true;
    for (let fact = this.facts.shift(); fact !== undefined; fact = this.facts.shift()) {
      for (const effect of this.machine.step(fact, this.parts.clock.now())) this.run(effect);
    }
    this.stepping = false;
    this.parts.sharedTurns.worked();
    if (this.over) return;
    this.cursor?.pump();
    const wake = this.machine.nextWake();
    if (wake === undefined) this.alarm.clear();
    else this.alarm.set(wake);
  }

  private run(effect: Effect): void {
    switch (effect.type) {
      case "load":
        this.load(effect.from);
        return;
      case "take_turn":
        this.parts.sharedTurns.wait(this);
        return;
      case "session_ready":
        this.opened(effect.session);
        return;
      case "save_cursor":
        this.cursor?.request(effect.urgent);
        return;
      case "bury":
        this.burial.add(effect.deadLetters);
        return;
      default:
        tellSession(this.sessions.get(effect.session), effect);
    }
  }

  private opened(session: SessionId): void {
    this.opening.get(session)?.();
    this.opening.delete(session);
  }

  private load(from: Offset): void {
    const cached = this.source.cached(from);
    if (cached !== undefined) {
      this.loaded(cached);
      return;
    }
    this.source.read(from, this.filters, this.name, (fact) => {
      this.loaded(fact);
    });
  }

  private loaded(fact: LoadedFact): void {
    if (fact.type === "chunks_loaded") this.backlog.saw(fact.chunks);
    // What was dropped is counted before it shows that it is gone.
    if (fact.type === "log_truncated") void this.passPurged().then(() => this.post(fact));
    else this.post(fact);
  }

  private bury(copies: readonly DeadLetterCopy[], offsets: readonly Offset[]): Promise<void> {
    if (this.over || this.cursor === undefined) return Promise.resolve();
    this.cursor.addCopies(copies);
    this.post({ type: "dead_letters_copied", offsets });
    return this.cursor.flush();
  }

  private lose(error: unknown): void {
    if (this.over) return;
    this.parts.journal.warn("a subscriber's stored state is not what it was; it is loaded again", { subscriber: this.name, error });
    this.close(movedError(this.name));
    this.owner.cursorLost(this);
  }
}
