import { LIMITS } from "../core/limits.js";
import { monotonicMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import { StateConflict } from "../ports/state.js";
import type { Put, State, Token } from "../ports/state.js";
import { encodeRecord } from "./json-record.js";
import type { Alarm, Scheduler } from "./scheduler.js";
import { cursorKey, deadLetterCountKey, droppedCountKey } from "./state-keys.js";

/** What the writer needs of the subscription whose cursor it keeps. */
export interface CursorOwner {
  /** The cursor as of now; called when a commit is filled, never before. */
  encodeCursor(): { readonly bytes: Buffer; readonly version: number };
  /** Messages dropped before they were settled, ever, as the cursor of now has passed over them. */
  droppedCount(): number;
  cursorSaved(version: number): void;
  /** Somebody else has written the cursor, or the store refused: what is in memory no longer counts. */
  cursorLost(error: unknown): void;
}

/** What is stored of a cursor now. */
export interface StoredCursor {
  readonly token: Token;
  readonly deadLetters: number;
  readonly dropped: number;
}

/** A dead letter on its way into the next cursor commit. */
export interface DeadLetterCopy {
  readonly key: string;
  readonly value: Buffer;
}

/** What belongs to the cursor that it is committed with, but is no part of it. */
export interface KeptRecord {
  readonly key: string;
  readonly value: Buffer;
}

/** Dead letters that are to go. */
interface Removal {
  readonly keys: readonly string[];
  readonly also: readonly Put[];
  readonly done: (durable: boolean) => void;
}

/**
 * Commits one durable subscriber's cursor, one commit in flight, together with the dead letters that it has let go of: they
 * are in both places or in neither. It alone writes how many letters there are, so those that go, go through it too. Urgent requests go with the next group commit, others within 100 ms.
 */
export class CursorWriter {
  private readonly alarm: Alarm;
  private token: Token;
  private storedDeadLetters: number;
  private storedDropped: number;
  private inFlight = false;
  private dirty = false;
  private urgent = false;
  private closed = false;
  private copies: DeadLetterCopy[] = [];
  private removals: Removal[] = [];
  private kept: KeptRecord[] = [];
  private flushed: (() => void)[] = [];

  constructor(
    private readonly subscriber: string,
    private readonly state: State,
    private readonly clock: Clock,
    scheduler: Scheduler,
    stored: StoredCursor,
    private readonly owner: CursorOwner,
  ) {
    this.token = stored.token;
    this.storedDeadLetters = stored.deadLetters;
    this.storedDropped = stored.dropped;
    this.alarm = scheduler.alarm(() => {
      this.urgent = true;
      this.pump();
    });
  }

  /** Dead letters that are durable. */
  get deadLetters(): number {
    return this.storedDeadLetters;
  }

  /** The cursor has changed. Nothing is committed before `pump`, so that one turn's changes share a commit. */
  request(urgent: boolean): void {
    this.dirty = true;
    this.urgent ||= urgent;
  }

  /** Puts dead letters into the next commit. The caller reports them as copied in the same turn. */
  addCopies(copies: readonly DeadLetterCopy[]): void {
    for (const copy of copies) this.copies.push(copy);
    this.request(true);
  }

  /** Writes a record with the next commit, over what is there. */
  keep(record: KeptRecord): void {
    this.kept.push(record);
    this.request(true);
  }

  /**
   * Takes away dead letters that are there, in the next commit, which holds `also` as well. Resolves when that is durable; with
   * false when the writer is closed before it knows.
   */
  removeLetters(keys: readonly string[], also: readonly Put[]): Promise<boolean> {
    if (this.closed) return Promise.resolve(false);
    return new Promise((done) => {
      this.removals.push({ keys, also, done });
      this.request(true);
      this.pump();
    });
  }

  /** Commits what is due. */
  pump(): void {
    if (!this.dirty || this.inFlight || this.closed) return;
    if (this.urgent) this.submit();
    else if (!this.alarm.isSet) this.alarm.set(monotonicMs(this.clock.monotonic() + LIMITS.unconfirmedSettleMs));
  }

  /** Resolves when everything requested so far is durable, or the writer is closed. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.flushed.push(resolve);
      this.urgent = true;
      this.pump();
      this.tellFlushed();
    });
  }

  /** Commits nothing more. A commit in flight still happens, and nobody hears of it. */
  close(): void {
    this.closed = true;
    this.alarm.clear();
    this.tellFlushed();
    for (const { done } of this.removals.splice(0)) done(false);
  }

  private submit(): void {
    const { kept, removals } = this;
    // A message that came again after a seek may have been given up twice by now: one letter of it will do.
    const copies = [...new Map(this.copies.map((copy) => [copy.key, copy])).values()];
    this.copies = [];
    this.removals = [];
    this.kept = [];
    this.dirty = false;
    this.urgent = false;
    this.inFlight = true;
    this.alarm.clear();
    const { bytes, version } = this.owner.encodeCursor();
    const puts: Put[] = [{ key: cursorKey(this.subscriber), value: bytes, expect: this.token }];
    const dropped = this.owner.droppedCount();
    if (dropped !== this.storedDropped) puts.push({ key: droppedCountKey(this.subscriber), value: encodeRecord({ count: dropped }), expect: "any" });
    const gone = new Set(removals.flatMap(({ keys }) => keys));
    const deadLetters = this.storedDeadLetters + copies.length - gone.size;
    for (const { key, value } of copies) puts.push({ key, value, expect: gone.delete(key) ? "any" : "absent" });
    for (const key of gone) puts.push({ key, value: null, expect: "any" });
    for (const { also } of removals) puts.push(...also);
    // Of several the last one counts, as each key may stand in a commit once.
    for (const { key, value } of new Map(kept.map((record) => [record.key, record])).values()) puts.push({ key, value, expect: "any" });
    if (copies.length > 0 || removals.length > 0) puts.push({ key: deadLetterCountKey(this.subscriber), value: encodeRecord({ count: deadLetters }), expect: "any" });
    this.state.commit(puts).then(
      ([token]) => {
        if (token === undefined) throw new Error("a commit of a cursor came back without its token");
        this.inFlight = false;
        this.token = token;
        this.storedDeadLetters = deadLetters;
        this.storedDropped = dropped;
        for (const { done } of removals) done(true);
        if (!this.closed) this.owner.cursorSaved(version);
        this.pump();
        this.tellFlushed();
      },
      (error: unknown) => {
        this.inFlight = false;
        this.failed(error, copies, kept, removals);
      },
    );
  }

  private failed(error: unknown, copies: readonly DeadLetterCopy[], kept: readonly KeptRecord[], removals: readonly Removal[]): void {
    this.removals.unshift(...removals);
    if (this.closed) {
      this.close();
      return;
    }
    if (error instanceof StateConflict && !error.keys.includes(cursorKey(this.subscriber))) {
      // A letter that is already there stays as it is: the same message was given up before.
      const present = new Set(error.keys);
      this.copies = [...copies.filter(({ key }) => !present.has(key)), ...this.copies];
      this.kept = [...kept, ...this.kept];
      this.request(true);
      this.pump();
      return;
    }
    this.close();
    this.owner.cursorLost(error);
  }

  private tellFlushed(): void {
    if (this.flushed.length === 0 || (!this.closed && (this.dirty || this.inFlight))) return;
    const { flushed } = this;
    this.flushed = [];
    for (const resolve of flushed) resolve();
  }
}
