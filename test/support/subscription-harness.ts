import type { Chunk } from "../../src/core/chunk.js";
import { EventFilter } from "../../src/core/event-filter.js";
import { NO_CLAIMS, type Claims, type DeliveryRun, type Settlement, type StopPoint } from "../../src/core/session.js";
import type { DeadLetter, Effect } from "../../src/core/subscription/effects.js";
import type { Fact, SessionSettings } from "../../src/core/subscription/facts.js";
import { endlessTurns } from "../../src/core/subscription/turn-budget.js";
import { Subscription, type DeliveryRules, type SubscriptionSettings } from "../../src/core/subscription/subscription.js";
import { monotonicMs, offset, wallMs, type Now } from "../../src/core/units.js";
import { chunkOf } from "./chunk-builder.js";

type Deliver = Extract<Effect, { type: "deliver" }>;

/** A delivery as a client sees it. */
export interface Received {
  readonly session: string;
  readonly batch: Deliver["batch"];
  readonly offsets: readonly number[];
}

export const NO_SETTLEMENT: Settlement = {
  acks: [],
  ackThroughBatchId: 0,
  retries: [],
  rejects: [],
  releases: [],
  extends: [],
  extendAllMs: undefined,
};

export const SETTINGS: SubscriptionSettings = {
  name: "worker",
  filter: EventFilter.parse([]),
  ordered: false,
  maxAttempts: 3,
  maxDeliveries: 20,
  maxUnsettled: 10_000,
  backoffMinMs: 100,
  backoffMaxMs: 60_000,
  backoffFactor: 2,
  onPoison: "DEAD_LETTER",
  onExpiry: "SETTLE",
  ephemeral: false,
};

/** An inclusive range of offsets, of one batch or of whichever held it last. */
export function range(first: number, last = first, batchId = 0): DeliveryRun {
  return { first: offset(first), last: offset(last), batchId };
}

/**
 * A subscription with the least of a broker around it: a log in memory that answers `load` at once, a disk that is as slow as
 * the test wants, a clock that the test moves.
 */
export class SubscriptionHarness {
  machine: Subscription;
  now: Now = { monotonicMs: monotonicMs(1_000), wallMs: wallMs(1_000_000) };
  readonly received: Received[] = [];
  readonly effects: Effect[] = [];
  readonly deadLetters: DeadLetter[] = [];
  /** Sessions whose clients were told that they are open. */
  readonly started = new Set<string>();
  /** Sessions that ended by themselves. */
  readonly finished = new Set<string>();
  /** Dead letters that share their commit with a cursor that is not durable yet. */
  private copied: DeadLetter[] = [];
  private readonly chunks: Chunk[] = [];
  /** What the purge record on the disk says. */
  purgedThrough = 0;
  /** True: copies of dead letters are made when `finishBurying` says so. */
  buriesLate = false;
  private unburied: DeadLetter[] = [];
  /** True: a turn that was asked for comes when `nextTurn` says so. */
  turnsComeLate = false;
  private turnAskedFor = false;
  private saving: { bytes: Buffer; version: number; deadLetters: DeadLetter[] } | undefined;
  private dirty = false;
  /** What the disk holds. */
  stored: Buffer;

  /**
   * @param diskIsFast every cursor is durable in the turn in which it is saved
   * @param turns what may be done in a turn; a fact takes no turn
   */
  constructor(public settings: SubscriptionSettings = SETTINGS, public diskIsFast = true, readonly chunksPerLoad = 4, readonly turns = endlessTurns()) {
    this.machine = Subscription.begin(settings, offset(0), offset(0), undefined, turns);
    this.stored = this.machine.encodeCursor().bytes;
    this.machine.step({ type: "cursor_saved", version: 0 }, this.now);
  }

  get head(): number {
    return this.chunks[this.chunks.length - 1]?.last ?? 0;
  }

  get isSaving(): boolean {
    return this.saving !== undefined;
  }

  eventAt(at: number): string {
    const chunk = this.chunks.find(({ first, last }) => first <= at && at <= last);
    if (chunk === undefined) throw new Error(`no message ${at}`);
    return chunk.events[chunk.eventIndex[at - chunk.first] ?? 0] ?? "";
  }

  publish(...events: string[]): void {
    this.chunks.push(chunkOf(this.head + 1, events));
    this.step({ type: "head_advanced", head: offset(this.head) });
  }

  /** Messages with an event and a lane each, some for a while only. */
  publishInLanes(...messages: (readonly [event: string, lane: number, ttlMs?: number | undefined])[]): void {
    const expireTimes = messages.map(([, , ttlMs]) => (ttlMs === undefined ? 0 : this.now.wallMs + ttlMs));
    this.chunks.push(chunkOf(this.head + 1, messages.map(([event]) => event), 10, messages.map(([, lane]) => BigInt(lane)), expireTimes));
    this.step({ type: "head_advanced", head: offset(this.head) });
  }

  laneAt(at: number): bigint {
    const chunk = this.chunks.find(({ first, last }) => first <= at && at <= last);
    return chunk?.laneHash?.[at - chunk.first] ?? 0n;
  }

  hasExpired(at: number): boolean {
    const chunk = this.chunks.find(({ first, last }) => first <= at && at <= last);
    const expires = chunk?.expireTimeMs?.[at - chunk.first] ?? 0;
    return expires !== 0 && expires <= this.now.wallMs;
  }

  publishMany(count: number, event = "made"): void {
    this.publish(...Array.from({ length: count }, () => event));
  }

  open(session: string, settings: Partial<SessionSettings> = {}, claims: Partial<Claims> = {}): void {
    this.started.delete(session);
    this.finished.delete(session);
    this.step({
      type: "session_opened",
      session,
      claims: { ...NO_CLAIMS, ...claims },
      settings: {
        clientId: `client-${session}`,
        ackMode: "EXPLICIT",
        flow: { maxMessages: 1_000, maxBytes: 1_000_000, paused: false },
        ackTimeoutMs: 10_000,
        stop: { kind: "never" } satisfies StopPoint,
        maxBatchMessages: 100,
        maxBatchBytes: 100_000,
        maxInFlightPerLane: 1,
        sharing: "SHARED",
        ...settings,
      },
    });
  }

  settle(session: string, settlement: Partial<Settlement>, requestId = 0n): void {
    this.step({ type: "settle_received", session, requestId, settlement: { ...NO_SETTLEMENT, ...settlement } });
  }

  ack(session: string, first: number, last = first): void {
    this.settle(session, { acks: [range(first, last)] });
  }

  end(session: string, graceful = false): void {
    this.started.delete(session);
    this.step({ type: "session_ended", session, graceful });
  }

  pass(ms: number): void {
    this.now = { monotonicMs: monotonicMs(this.now.monotonicMs + ms), wallMs: wallMs(this.now.wallMs + ms) };
    this.step({ type: "time_passed" });
  }

  /** The commit in flight reaches the disk, and the next one starts if the cursor has changed since. */
  finishSaving(): void {
    const saved = this.saving;
    if (saved === undefined) return;
    this.saving = undefined;
    this.stored = saved.bytes;
    this.deadLetters.push(...saved.deadLetters);
    this.step({ type: "cursor_saved", version: saved.version });
    if (this.dirty) this.startSaving();
  }

  /** The event loop has gone round. */
  nextTurn(): void {
    this.turns.begin();
    if (!this.turnAskedFor) return;
    this.turnAskedFor = false;
    this.step({ type: "turn_came" });
  }

  /** Without a session: headers of the log are shown, so that it moves over what is not for it. */
  leadOver(): void {
    this.step({ type: "chunks_loaded", chunks: this.chunks.map((chunk) => ({ ...chunk, body: undefined })) });
  }

  /** An operator drops everything through an offset: the record is durable, then the machine hears of it. */
  purge(through: number): void {
    this.purgedThrough = Math.max(this.purgedThrough, through);
    this.hearOfPurge();
  }

  matching(first: number, last: number): number[] {
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i).filter((at) => this.settings.filter.matches(this.eventAt(at)));
  }

  /** The copies of all dead letters so far go into the next commit. */
  finishBurying(): void {
    if (this.unburied.length > 0) this.step(this.copyUnburied());
  }

  /** An operator changes some of the rules. */
  changeRules(rules: Partial<DeliveryRules>): void {
    this.settings = { ...this.settings, ...rules };
    this.step({ type: "settings_changed", rules: this.settings, detail: Object.keys(rules).join() });
  }

  /** An operator moves the subscriber. */
  seek(after: number, settled: readonly { readonly first: number; readonly last: number }[] = []): void {
    const runs = settled.map(({ first, last }) => ({ first: offset(first), last: offset(last) }));
    this.step({ type: "position_moved", after: offset(after), settled: runs, detail: "moved" });
  }

  /** The process dies: only what the disk holds is left. Time goes on. */
  crash(): void {
    this.saving = undefined;
    this.dirty = false;
    this.copied = [];
    this.unburied = [];
    this.machine = Subscription.restore(this.settings, this.stored, offset(this.head), this.now, undefined, this.turns);
    this.turnAskedFor = false;
    if (this.purgedThrough > 0) this.hearOfPurge();
  }

  step(fact: Fact): void {
    const facts: Fact[] = [fact];
    for (let next = facts.shift(); next !== undefined; next = facts.shift()) {
      for (const effect of this.machine.step(next, this.now)) {
        this.effects.push(effect);
        this.run(effect, facts);
      }
      // In the turn in which the commit with them is filled: no cursor is encoded in between.
      if (!this.buriesLate && this.unburied.length > 0) facts.unshift(this.copyUnburied());
    }
    if (this.diskIsFast) while (this.saving !== undefined) this.finishSaving();
  }

  offsetsReceived(session?: string): number[] {
    return this.received.filter((batch) => session === undefined || batch.session === session).flatMap((batch) => batch.offsets);
  }

  private hearOfPurge(): void {
    const { next } = this.machine.counts();
    this.step({ type: "log_purged", through: offset(this.purgedThrough), matchingAhead: this.matching(next, this.purgedThrough).length });
  }

  private run(effect: Effect, facts: Fact[]): void {
    switch (effect.type) {
      case "load": {
        const from = this.chunks.findIndex((chunk) => chunk.last >= effect.from);
        facts.push({ type: "chunks_loaded", chunks: from === -1 ? [] : this.chunks.slice(from, from + this.chunksPerLoad) });
        return;
      }
      case "take_turn":
        if (this.turnAskedFor) throw new Error("the machine asked for a second turn");
        if (this.turnsComeLate) this.turnAskedFor = true;
        else {
          this.turns.begin();
          facts.push({ type: "turn_came" });
        }
        return;
      case "deliver": {
        const offsets = effect.parts.flatMap((part) =>
          Array.from({ length: part.count }, (_, i) => part.chunk.first + part.firstIndex + i),
        );
        for (const at of offsets) if (this.hasExpired(at)) throw new Error(`message ${at} was handed out after it had expired`);
        this.received.push({ session: effect.session, batch: effect.batch, offsets });
        return;
      }
      case "bury":
        this.unburied.push(...effect.deadLetters);
        return;
      case "save_cursor":
        this.dirty = true;
        if (this.saving === undefined) this.startSaving();
        return;
      case "session_ready":
        this.started.add(effect.session);
        facts.push({ type: "session_started", session: effect.session });
        return;
      case "finish_session":
        this.finished.add(effect.session);
        this.started.delete(effect.session);
        facts.push({ type: "session_ended", session: effect.session, graceful: true });
        return;
      case "confirm":
      case "recall":
      case "gap":
      case "notice":
        return;
    }
  }

  private copyUnburied(): Fact {
    const letters = this.unburied;
    this.unburied = [];
    this.copied.push(...letters);
    return { type: "dead_letters_copied", offsets: letters.map((letter) => letter.offset) };
  }

  private startSaving(): void {
    this.dirty = false;
    this.saving = { ...this.machine.encodeCursor(), deadLetters: this.copied };
    this.copied = [];
  }
}
