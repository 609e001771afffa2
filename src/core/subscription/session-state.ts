import { LIMITS } from "../limits.js";
import type { FlowWindow, SessionId } from "../session.js";
import { offset, type MonotonicMs, type Offset } from "../units.js";
import { FATE, type DeliveryBatch, type Fate, type Positions, type VisitStretch } from "./delivery-batch.js";
import type { SessionSettings } from "./facts.js";

/** One session's side of a subscription: its credit, what it holds, and what it did lately. */
export class SessionState {
  flow: FlowWindow;
  /** Another session of an exclusive subscription works. */
  standby = false;
  /** Its client was told that it is open. Nothing is said to it before. */
  started = false;
  /** Its client's own position, which is settled before it starts. */
  claimedThrough = offset(0);
  /** It may start when the cursor is durable at this version. */
  awaitsVersion = 0;
  transportReady = true;
  draining = false;
  /** `finish_session` is on its way; nothing more goes out. */
  finished = false;
  /** It is done, and ends when the cursor is durable at this version: OK means that its settles are on disk. */
  doneVersion: number | undefined;
  caughtUp = false;
  /** The session has ended: its leases are going back. */
  isOver = false;
  inFlightMessages = 0;
  inFlightBytes = 0;
  /** Messages that it holds or has settled, for `stop`: what went back otherwise does not count. */
  private countedForStop = 0;
  /** It stops at the head of when it opened, and that is reached. */
  headReached = false;
  /** Everything up to this batch was acked cumulatively. */
  ackedThrough = 0;
  nextBatchId = 1;
  /** Holds a suspect, which has to be alone. */
  suspectInFlight = false;
  /** Batches with a lease, by id, ascending. */
  readonly held = new Map<number, DeliveryBatch>();
  /** The last batches, held or not: what a settle may still name. */
  private readonly remembered = new Map<number, DeliveryBatch>();

  constructor(
    readonly id: SessionId,
    readonly settings: SessionSettings,
    /** The head when its client was told that it is open: what `stop at_head` and CAUGHT_UP mean by head. */
    public headAtOpen: Offset,
  ) {
    this.flow = settings.flow;
  }

  get isAuto(): boolean {
    return this.settings.ackMode === "AUTO";
  }

  /** True while one more message may go out. One always may when nothing is in flight. */
  get canTake(): boolean {
    if (!this.works || this.flow.paused || this.draining || this.finished || !this.transportReady || this.suspectInFlight) return false;
    if (this.stopReached) return false;
    return this.hasRoom;
  }

  /** Messages may go to it, as far as it is for others to say. */
  get works(): boolean {
    return this.started && !this.standby && !this.isOver;
  }

  /** AUTO has no window of its own: the transport's is the limit. */
  get hasRoom(): boolean {
    if (this.isAuto || this.inFlightMessages === 0) return true;
    return this.inFlightMessages < this.flow.maxMessages && this.inFlightBytes < this.flow.maxBytes;
  }

  get stopReached(): boolean {
    const { stop } = this.settings;
    return this.headReached || (stop.kind === "after_messages" && this.countedForStop >= stop.count);
  }

  /** How many more messages it may hold: at least one, for a session that may take any. */
  get windowRoom(): number {
    return this.isAuto ? this.settings.maxBatchMessages : Math.max(1, this.flow.maxMessages - this.inFlightMessages);
  }

  /** How many messages the next batch may have. */
  get messagesRoom(): number {
    const { stop, maxBatchMessages } = this.settings;
    const untilStop = stop.kind === "after_messages" ? stop.count - this.countedForStop : maxBatchMessages;
    return Math.min(maxBatchMessages, this.windowRoom, untilStop);
  }

  /** How many bytes may be in a batch before its last message. */
  get bytesRoom(): number {
    return this.isAuto ? Infinity : this.flow.maxBytes - this.inFlightBytes;
  }

  /** How many messages of one lane it may hold. A transport keeps their order, so AUTO needs no bound. */
  get laneDepth(): number {
    return this.isAuto ? Infinity : this.settings.maxInFlightPerLane;
  }

  batch(batchId: number): DeliveryBatch | undefined {
    return this.remembered.get(batchId);
  }

  /** The oldest batch whose verdicts are certainly remembered. */
  get oldestRemembered(): number {
    return Math.max(1, this.nextBatchId - LIMITS.rememberedBatches);
  }

  handOut(batch: DeliveryBatch): void {
    const { batchId } = batch.facts;
    this.held.set(batchId, batch);
    this.remembered.set(batchId, batch);
    this.nextBatchId = batchId + 1;
    const forgotten = this.oldestRemembered - 1;
    if (!this.held.has(forgotten)) this.remembered.delete(forgotten);
    this.inFlightMessages += batch.count;
    this.inFlightBytes += batch.bytes;
    this.countedForStop += batch.count;
    if (batch.alone) this.suspectInFlight = true;
  }

  /** Ends the lease of what is held among `positions`; `visit` sees every stretch there with the fate it had before. */
  conclude(batch: DeliveryBatch, positions: Positions, fate: Fate, visit: VisitStretch): void {
    batch.visit(positions, visit);
    const { messages, bytes } = batch.conclude(positions, fate);
    this.inFlightMessages -= messages;
    this.inFlightBytes -= bytes;
    if (!settles(fate)) this.countedForStop -= messages;
    if (batch.heldMessages > 0) return;
    const { batchId } = batch.facts;
    this.held.delete(batchId);
    if (batchId < this.oldestRemembered) this.remembered.delete(batchId);
    if (batch.alone && this.inFlightMessages === 0) this.suspectInFlight = false;
  }

  /** As `conclude`; `visit` sees what was held, and nothing else. */
  concludeHeld(batch: DeliveryBatch, positions: Positions, fate: Fate, visit: (first: Offset, last: Offset) => void): void {
    this.conclude(batch, positions, fate, (first, last, before) => {
      if (before === FATE.HELD) visit(first, last);
    });
  }

  /** Takes back verdicts that were not final. */
  overrule(batch: DeliveryBatch, positions: Positions, fate: Fate): void {
    batch.visit(positions, (first, last, before) => {
      if (settles(before)) this.countedForStop -= last - first + 1;
    });
    batch.overrule(positions, fate);
  }

  /** Messages whose hand-out ended without a verdict that settles, and that are given up for it. */
  gaveUp(messages: number): void {
    this.countedForStop += messages;
  }

  /** The earliest deadline of anything held; Infinity when there is none. */
  earliestDeadline(): number {
    let earliest = Infinity;
    for (const batch of this.held.values()) earliest = Math.min(earliest, batch.earliestDeadline);
    return earliest;
  }

  /** When a lease given now runs out. */
  deadlineFrom(now: MonotonicMs, leaseMs: number): MonotonicMs {
    return (now + leaseMs) as MonotonicMs;
  }
}

function settles(fate: Fate): boolean {
  return fate === FATE.ACKED || fate === FATE.REJECTED;
}
