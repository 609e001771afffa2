import { messageBytes, messageStart } from "../core/chunk.js";
import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { BatchFacts, Settlement } from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import { monotonicMs, offset } from "../core/units.js";
import type { MonotonicMs, Offset } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Turns } from "../ports/turns.js";
import type { SessionSink } from "./api.js";
import type { SessionOpened } from "./session-opened.js";
import type { LiveSession } from "./live-session.js";
import type { Pulled, PulledBatch, PullOrder, SettleAnswer } from "./pull-api.js";
import type { Alarm, Scheduler } from "./scheduler.js";
import { plainEnd, sessionNotFound } from "./session-end.js";
import type { LossReason } from "./session-end.js";

/** How long a pull that has a message waits for others that are on their way: from the disk, or in the next turns. */
const GATHER_MS = 100;
/** How long one that would not wait looks for a message that is on its way. */
const SEARCH_MS = 1_000;
/** How often it looks whether that has turned out to be none. */
const LOOK_MS = 5;

/** What pull sessions work with. */
export interface PullParts {
  readonly clock: Clock;
  readonly turns: Turns;
  readonly scheduler: Scheduler;
}

/** Who keeps a pull session. */
export interface PullOwner {
  /** It holds nothing and nobody waits for messages, or that is not so any more. */
  idle(pull: PullSession, isIdle: boolean): void;
  /** Called once. */
  over(pull: PullSession): void;
}

/** Who waits for the answer of a pull. */
export interface Caller {
  readonly resolve: (pulled: Pulled) => void;
  readonly reject: (error: unknown) => void;
}

/** One pull under way. */
export interface Ask extends Pick<PullOrder, "maxMessages" | "maxBytes"> {
  readonly caller: Caller;
  readonly since: MonotonicMs;
  readonly waitUntil: MonotonicMs;
  /** When the first message came. */
  firstAt: MonotonicMs | undefined;
  batches: PulledBatch[];
  messages: number;
  bytes: number;
}

/**
 * A session whose client comes and goes: for the broker it is a session like any other, paused while nobody pulls.
 *
 *     opening ──► asked ◄──pull──┐
 *                   └──answer──► resting ──all settled, or leases over, LIMITS.pullIdleMs ago──► over
 *
 * The window of a pull is what is in flight and what it asks for. What came beyond that, or for a caller that has gone, is
 * withdrawn: as if it had not been handed out.
 */
export class PullSession implements SessionSink {
  /** Undefined while it is being opened. */
  private session: LiveSession | undefined;
  private facts: SessionOpened | undefined;
  private ask: Ask | undefined;
  private readonly alarm: Alarm;
  /** When the last lease ends at the latest. */
  private leasesThrough = monotonicMs(0);
  private looking = false;
  private answered = false;
  private isOver = false;
  /** The caller went before the session was open. */
  private goneBy: LossReason | undefined;

  constructor(
    private readonly parts: PullParts,
    private readonly owner: PullOwner,
  ) {
    this.alarm = parts.scheduler.alarm(() => {
      if (this.ask !== undefined) this.look();
      else this.expire();
    });
  }

  /** How long its deliveries are leased. It is open. */
  get ackTimeoutMs(): number {
    return this.openedFacts().ackTimeoutMs;
  }

  /** The first pull, which the session is opened for with the window that it asks for. */
  begin(order: PullOrder, caller: Caller): Ask {
    const since = this.parts.clock.monotonic();
    const { maxMessages, maxBytes, waitMs } = order;
    this.ask = { maxMessages, maxBytes, caller, since, waitUntil: monotonicMs(since + waitMs), firstAt: undefined, batches: [], messages: 0, bytes: 0 };
    return this.ask;
  }

  /** Another pull. One that still waits is answered with what it has: its caller has come back, or has gone. */
  again(session: LiveSession, order: PullOrder, caller: Caller): Ask {
    if (this.ask !== undefined) this.complete(this.ask, session);
    const ask = this.begin(order, caller);
    this.owner.idle(this, false);
    session.heard();
    const { inFlightCount, inFlightBytes } = session.info();
    session.flow({ maxMessages: inFlightCount + order.maxMessages, maxBytes: inFlightBytes + order.maxBytes, paused: false });
    this.lookSoon();
    return ask;
  }

  /** The session is open. */
  attached(session: LiveSession): void {
    this.session = session;
    if (this.goneBy !== undefined && this.ask !== undefined) this.gone(this.ask, this.goneBy);
    else this.lookSoon();
  }

  /** It could not be opened. */
  refused(error: unknown): void {
    this.ask?.caller.reject(error);
    this.finish();
  }

  /** The caller of this pull has gone, before the answer or before it had all of it. */
  gone(ask: Ask, reason: LossReason): void {
    const { session } = this;
    const waited = this.ask === ask;
    if (session === undefined) {
      this.goneBy = reason;
      return;
    }
    if (waited) {
      this.ask = undefined;
      this.pause();
    }
    this.withdraw(ask.batches);
    if (this.ask !== undefined) return;
    // Nobody knows of a session that was not answered with.
    if (waited && !this.answered) session.end(plainEnd(reason));
    else this.rest();
  }

  settle(session: LiveSession, settlement: Settlement): Promise<SettleAnswer> {
    session.heard();
    const { ackTimeoutMs } = this;
    const leases = settlement.extends.map(({ leaseMs }) => leaseMs ?? ackTimeoutMs);
    this.leasedFor(Math.max(0, settlement.extendAllMs ?? 0, ...leases));
    const answer = session.settleApart(settlement);
    if (this.ask === undefined) this.rest();
    return answer;
  }

  /** Ends it before its time: it holds nothing. */
  close(): void {
    this.session?.end(plainEnd("LEASES_OVER"));
  }

  opened(facts: SessionOpened): void {
    this.facts = facts;
  }

  deliver(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): void {
    const { ask } = this;
    const pulled = { batch, parts, backlogCount };
    if (ask === undefined) {
      this.pause();
      this.withdraw([pulled]);
      return;
    }
    ask.batches.push(pulled);
    for (const { chunk, firstIndex, count } of parts) {
      ask.messages += count;
      ask.bytes += messageStart(chunk, firstIndex + count) - messageStart(chunk, firstIndex);
    }
    ask.firstAt ??= this.parts.clock.monotonic();
    this.lookSoon();
  }

  /** Answers to settles of a pull session never come this way. */
  result(): void {
    return;
  }

  /** Nobody listens: what is lost shows in the answer to its verdict. */
  recall(): void {
    return;
  }

  /** As `recall`. */
  heartbeat(): void {
    return;
  }

  /** As `recall`: what is gone is not delivered. */
  gap(): void {
    return;
  }

  /** As `recall`. */
  notice(): void {
    return;
  }

  goingAway(_graceMs: number, reconnectAfterMs: number, reason: string): void {
    const { ask } = this;
    if (ask === undefined) return;
    this.ask = undefined;
    this.pause();
    this.withdraw(ask.batches);
    ask.caller.reject(new BrokerError("DRAINING", reason, {}, reconnectAfterMs));
    this.rest();
  }

  end(error: BrokerError | undefined): void {
    const { ask } = this;
    this.ask = undefined;
    ask?.caller.reject(error ?? sessionNotFound(this.session?.id ?? ""));
    this.finish();
  }

  /** Looks once the turn is over: what one turn brings goes into one answer. */
  private lookSoon(): void {
    if (this.looking) return;
    this.looking = true;
    this.parts.turns.next(() => {
      this.looking = false;
      this.look();
    });
  }

  /** Answers if it is time, or sets the alarm. */
  private look(): void {
    const { ask, session } = this;
    if (ask === undefined || session === undefined) return;
    const now = this.parts.clock.monotonic();
    const isFull = ask.messages >= ask.maxMessages || ask.bytes >= ask.maxBytes;
    const isComing = !isFull && session.standing().waitingFor === undefined;
    const until = ask.firstAt === undefined ? Math.max(ask.waitUntil, isComing ? ask.since + SEARCH_MS : 0) : isComing ? ask.firstAt + GATHER_MS : now;
    if (until <= now) this.complete(ask, session);
    else this.alarm.set(monotonicMs(isComing ? Math.min(until, now + LOOK_MS) : until));
  }

  private complete(ask: Ask, session: LiveSession): void {
    this.ask = undefined;
    this.pause();
    const kept = this.keptOf(ask);
    ask.batches = kept;
    const facts = this.openedFacts();
    if (kept.length > 0) this.leasedFor(facts.ackTimeoutMs);
    const { headOffset, committedOffset, backlogCount, deadLetterCount } = session.standing();
    const { standby, flow } = session.info();
    const opened = { ...facts, headOffset, committedOffset, backlogCount, deadLetterCount, standby, flow, created: facts.created && !this.answered };
    this.answered = true;
    this.rest();
    ask.caller.resolve({ opened, batches: kept });
  }

  /** What the pull asked for of what came; the rest is withdrawn. */
  private keptOf({ batches, maxMessages, maxBytes, messages, bytes }: Ask): PulledBatch[] {
    if (messages <= maxMessages && bytes <= maxBytes) return batches;
    const kept: PulledBatch[] = [];
    let room = { messages: maxMessages, bytes: maxBytes };
    for (const [i, pulled] of batches.entries()) {
      const cut = cutTo(pulled, room, kept.length === 0);
      if (cut.kept.length > 0) kept.push({ ...pulled, parts: cut.kept });
      room = cut.room;
      if (cut.surplus === undefined) continue;
      this.session?.withdraw(pulled.batch.batchId, cut.surplus);
      this.withdraw(batches.slice(i + 1));
      break;
    }
    return kept;
  }

  private withdraw(batches: readonly PulledBatch[]): void {
    for (const { batch } of batches) this.session?.withdraw(batch.batchId, offset(1));
  }

  /** Nothing is handed out while nobody pulls. */
  private pause(): void {
    const { session } = this;
    if (session !== undefined) session.flow({ ...session.window, paused: true });
  }

  private leasedFor(leaseMs: number): void {
    this.leasesThrough = monotonicMs(Math.max(this.leasesThrough, this.parts.clock.monotonic() + leaseMs));
  }

  /** Nobody pulls: sets the time of the end. */
  private rest(): void {
    const { session } = this;
    if (session === undefined || this.isOver) return;
    const now = this.parts.clock.monotonic();
    const holds = session.standing().inFlightCount > 0;
    this.alarm.set(monotonicMs((holds ? Math.max(this.leasesThrough, now) : now) + LIMITS.pullIdleMs));
    this.owner.idle(this, !holds);
  }

  private expire(): void {
    const { session } = this;
    if (session === undefined) return;
    if (session.standing().inFlightCount > 0 || session.owesAnswers) this.rest();
    else this.close();
  }

  private openedFacts(): SessionOpened {
    if (this.facts === undefined) throw new Error("a session is open that was never told so");
    return this.facts;
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.alarm.clear();
    this.owner.over(this);
  }
}

interface Room {
  readonly messages: number;
  readonly bytes: number;
}

/** As much of a batch as there is room for, and the first message that there is none for. One message always passes. */
function cutTo({ parts }: PulledBatch, room: Room, isFirst: boolean): { readonly kept: readonly DeliveryPart[]; readonly room: Room; readonly surplus: Offset | undefined } {
  const kept: DeliveryPart[] = [];
  let { messages, bytes } = room;
  let passes = isFirst;
  for (const { chunk, firstIndex, count } of parts) {
    for (let i = 0; i < count; i++) {
      const size = messageBytes(chunk, firstIndex + i);
      if (!passes && (messages === 0 || size > bytes)) {
        if (i > 0) kept.push({ chunk, firstIndex, count: i });
        return { kept, room: { messages, bytes }, surplus: offset(chunk.first + firstIndex + i) };
      }
      passes = false;
      messages--;
      bytes -= size;
    }
    kept.push({ chunk, firstIndex, count });
  }
  return { kept, room: { messages, bytes }, surplus: undefined };
}
