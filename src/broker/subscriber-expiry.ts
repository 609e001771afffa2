import { ClientAbsence } from "../core/client-absence.js";
import type { ClientPresence } from "../core/client-absence.js";
import type { MonotonicMs, WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import type { State } from "../ports/state.js";
import type { QueueTally, SubscriberView } from "../ports/telemetry.js";
import { encodePresence } from "./presence-record.js";
import type { Alarm, Scheduler } from "./scheduler.js";
import { presenceKey } from "./state-keys.js";

/** What the expiry of subscribers works with. */
export interface ExpiryParts {
  readonly queue: string;
  readonly tally: QueueTally;
  readonly state: State;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly journal: Journal;
  /** After how long without a client a subscriber expires now; 0: never. */
  readonly expireAfterMs: (subscriber: string) => number;
  /** Deletes a subscriber if it is still due, and says how it was. */
  readonly expire: (subscriber: string) => Promise<SubscriberView | undefined>;
}

/** Knows when the durable subscribers of one queue had clients, durably, and says who is abandoned. */
export class SubscriberExpiry {
  private readonly absences = new Map<string, ClientAbsence>();
  private readonly alarm: Alarm;
  /** When the alarm rings: when the first one is due, or earlier. */
  private armedAt = Infinity;
  private stored: Promise<unknown> = Promise.resolve();

  constructor(private readonly parts: ExpiryParts) {
    this.alarm = parts.scheduler.alarm(() => {
      this.ring();
    });
  }

  /** A subscriber is there, made now or loaded. Stores what a crash has left open. */
  add(name: string, presence: ClientPresence | undefined, createTimeMs: WallMs): void {
    const absence = ClientAbsence.restored(presence, createTimeMs, this.parts.clock.now());
    this.absences.set(name, absence);
    if (presence === undefined || presence.kind === "connected") this.store(name, absence);
    this.arm(absence.expiresAt(this.parts.expireAfterMs(name)));
  }

  forget(name: string): void {
    this.absences.delete(name);
  }

  announced(name: string): void {
    this.absences.get(name)?.announced(this.parts.clock.now());
  }

  /** Its first client has come. */
  connected(name: string): void {
    const absence = this.absences.get(name);
    if (absence === undefined) return;
    absence.connected();
    this.store(name, absence);
  }

  /** Its last client has gone. */
  gone(name: string): void {
    const absence = this.absences.get(name);
    if (absence === undefined) return;
    absence.gone(this.parts.clock.now());
    this.store(name, absence);
    this.arm(absence.expiresAt(this.parts.expireAfterMs(name)));
  }

  isDue(name: string): boolean {
    const at = this.absences.get(name)?.expiresAt(this.parts.expireAfterMs(name));
    return at !== undefined && at <= this.parts.clock.monotonic();
  }

  lastClientTimeMs(name: string): WallMs | undefined {
    return this.absences.get(name)?.lastClientTimeMs;
  }

  expireTimeMs(name: string): WallMs | undefined {
    return this.absences.get(name)?.expireTimeMs(this.parts.expireAfterMs(name), this.parts.clock.now());
  }

  /** Settings have changed, or who was due was looked at: the next one may be another. */
  rearm(): void {
    this.armedAt = Infinity;
    this.alarm.clear();
    for (const [name, absence] of this.absences) this.arm(absence.expiresAt(this.parts.expireAfterMs(name)));
  }

  /** Resolves when it is durable that this subscriber has a client, if it could expire otherwise. */
  async noted(name: string): Promise<void> {
    if (this.parts.expireAfterMs(name) > 0) await this.stored;
  }

  /** Resolves when everything that clients did so far is durable. */
  async flush(): Promise<void> {
    await this.stored;
  }

  stop(): void {
    this.alarm.clear();
  }

  private arm(at: MonotonicMs | undefined): void {
    if (at === undefined || at >= this.armedAt) return;
    this.armedAt = at;
    this.alarm.set(at);
  }

  private ring(): void {
    const due = [...this.absences.keys()].filter((name) => this.isDue(name));
    const { queue, journal } = this.parts;
    this.expire(due).catch((error: unknown) => {
      journal.error("an abandoned subscriber could not be deleted", { queue, due, error });
    });
  }

  private async expire(due: readonly string[]): Promise<void> {
    const { queue, tally, journal, expireAfterMs, expire } = this.parts;
    for (const subscriber of due) {
      const facts = { queue, subscriber, lastClientTimeMs: this.lastClientTimeMs(subscriber), expireAfterMs: expireAfterMs(subscriber) };
      const gone = await expire(subscriber);
      if (gone === undefined) continue;
      tally.expiredSubscribers++;
      journal.info("a subscriber had no client for too long and was deleted", { ...facts, backlogCount: gone.backlogCount, deadLetterCount: gone.deadLetterCount });
    }
    this.rearm();
  }

  private store(name: string, absence: ClientAbsence): void {
    const put = { key: presenceKey(name), value: encodePresence(absence.presence), expect: "any" } as const;
    this.stored = Promise.all([this.stored, this.parts.state.commit([put])]).catch((error: unknown) => {
      this.parts.journal.warn("it could not be stored that clients came or went", { subscriber: name, error });
    });
  }
}
