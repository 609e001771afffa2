import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { NewMessage } from "../core/message.js";
import type { WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Engine, QueueId } from "../ports/engine.js";
import { HeldIds } from "./held-ids.js";
import type { HeldId } from "./held-ids.js";
import { PUT_OFF_PREFIX } from "./queue-record.js";
import { scheduledPuts } from "./schedule-record.js";
import type { NewScheduled } from "./schedule-record.js";
import type { KnownScheduled } from "./schedule-facts.js";

const NO_VALUE = Buffer.alloc(0);

/** What a book of scheduled messages works with. */
export interface ScheduleBookParts {
  readonly queue: string;
  readonly queueId: QueueId;
  readonly engine: Engine;
  readonly clock: Clock;
  /** Hears of everything that is put off, once it is durable. */
  readonly kept: (due: WallMs) => void;
}

/** What a queue has put off: how many, under which ids and numbers. The messages themselves lie in the state alone. */
export class ScheduleBook {
  private readonly held = new HeldIds();
  private total = 0;
  private nextNumber = 1;
  /** The catalog says that this queue has something put off, so that a start opens it. */
  private marked = false;

  constructor(private readonly parts: ScheduleBookParts) {}

  /** Messages that are put off. */
  get count(): number {
    return this.total;
  }

  /** The message that is put off under this id, which is not 0n. */
  find(id: bigint): HeldId | undefined {
    return this.held.find(id);
  }

  /** Reads from the catalog whether it has the mark. */
  async loadMark(): Promise<void> {
    this.marked = (await this.parts.engine.catalog.get(this.markKey)) !== undefined;
  }

  /** A message that was put off before this process began. */
  learn({ dueTimeMs, number, facts }: KnownScheduled): void {
    this.total++;
    this.nextNumber = Math.max(this.nextNumber, number + 1);
    if (facts !== undefined) this.hold(facts.messageIdHash, { dueTimeMs, number, fingerprint: facts.fingerprint, acceptTimeMs: facts.acceptTimeMs });
  }

  /** Nothing is put off any more that was when this was opened: the next start need not open the queue. */
  async unmarkIfEmpty(): Promise<void> {
    if (!this.marked || this.total > 0) return;
    this.marked = false;
    await this.parts.engine.catalog.commit([{ key: this.markKey, value: null, expect: "any" }]);
  }

  /** Takes a message in. It counts, and holds its id, from now on; `keep` makes that durable. Throws SCHEDULE_LIMIT. */
  putOff(message: NewMessage, dueTimeMs: WallMs, messageIdHash: bigint, fingerprint: bigint): NewScheduled {
    const { queue, clock } = this.parts;
    if (this.total >= LIMITS.scheduledMax) {
      throw new BrokerError("SCHEDULE_LIMIT", `queue ${queue} has ${LIMITS.scheduledMax} messages that are not due yet, as many as the server keeps: cancel some, or wait until some are due`, {
        queue,
        limit: String(LIMITS.scheduledMax),
      });
    }
    const scheduled = { dueTimeMs, number: this.nextNumber++, message, acceptTimeMs: clock.wall(), messageIdHash, fingerprint };
    this.total++;
    this.hold(messageIdHash, scheduled);
    return scheduled;
  }

  /** Durable when resolved. */
  async keep(scheduled: readonly NewScheduled[]): Promise<void> {
    const { engine, queueId, kept } = this.parts;
    if (!this.marked) {
      await engine.catalog.commit([{ key: this.markKey, value: NO_VALUE, expect: "any" }]);
      this.marked = true;
    }
    await engine.state(queueId).commit(scheduled.flatMap(scheduledPuts));
    for (const { dueTimeMs } of scheduled) kept(dueTimeMs);
  }

  /** Messages that are put off no more: they are in the log, were cancelled, or never became durable. */
  forget(gone: readonly { readonly number: number; readonly messageIdHash: bigint }[]): void {
    this.total -= gone.length;
    for (const { number, messageIdHash } of gone) if (messageIdHash !== 0n) this.held.remove(messageIdHash, number);
  }

  /** While ids mean nothing, with a dedup window of zero, one may come again. The first one holds it. */
  private hold(id: bigint, held: HeldId): void {
    if (id !== 0n && this.held.find(id) === undefined) this.held.add(id, held);
  }

  private get markKey(): string {
    return PUT_OFF_PREFIX + this.parts.queueId;
  }
}
