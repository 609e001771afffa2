import { nextTick } from "node:process";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import {
  DeliveryCause,
  type GoingAway,
  type OpenSession,
  type Recall,
  type SessionOpened,
  type SettleResult,
  type SubscribeRequest,
} from "../../generated/tidemark/v1/subscribe.js";
import type { Connection } from "./connection.js";
import type { Delivery, Verdict } from "./delivery.js";
import { enumName } from "./enum-name.js";
import { FinishedOffsets } from "./finished-offsets.js";
import { gapEvent, heartbeatEvent, noticeEvent } from "./frame-event.js";
import { type BatchSession, HeldBatch } from "./held-batch.js";
import { LaneHolds } from "./lane-holds.js";
import { OwedOffsets } from "./owed-offsets.js";
import { safeNumber } from "./safe-number.js";
import { SessionWatch } from "./session-watch.js";
import { SettleCollector } from "./settle-collector.js";
import { notHeld, rangeHolds, settleFailed, SettleWaiters } from "./settle-waiters.js";
import type { DeliveriesFrame, SubscribeFrame } from "./subscribe-frame.js";
import type { SubscriptionEvent } from "./subscribe-options.js";
import { outcomeUnknown, TidemarkError } from "./tidemark-error.js";
import { durationFromMs, durationToMs } from "./wire-time.js";

/** A frame never names more ranges than this; the broker allows 10,000. */
const RANGES_MAX = 1_000;
const CLOSE_MS_MAX = 5_000;
const DEFAULT_ACK_TIMEOUT_MS = 60_000;

/** Whom a session tells. */
export interface SessionListener {
  opened(opened: SessionOpened): void;
  deliveries(deliveries: readonly Delivery[]): void;
  /** These were held and are not any more, since one before them in their lane came back: they come again behind it. */
  recalled(deliveries: ReadonlySet<Delivery>, cause: string): void;
  /** Takes out what the application has not seen of the messages of an ordering key behind this one. */
  takeBehind(delivery: Delivery): Delivery[];
  goingAway(frame: GoingAway): void;
  event(event: SubscriptionEvent): void;
  /** The stream is over, with OK if there is no error. The last call. */
  over(error: TidemarkError | undefined): void;
}

/** One open Subscribe stream: holds the leases of what came over it, until it is over. */
export class Session implements BatchSession {
  private readonly call: ClientDuplexStream<SubscribeRequest, SubscribeFrame>;
  private readonly auto: boolean;
  private readonly laneDepth: number;
  /** Batches of which something is held. */
  private readonly held = new Set<HeldBatch>();
  private readonly owed: OwedOffsets;
  /** What the application has acked and this session may not have got to the disk. */
  readonly finished = new FinishedOffsets();
  /** Undefined while no more than one message of a lane is in this client's hands. */
  private laneHolds: LaneHolds | undefined;
  private readonly collector = new SettleCollector();
  private readonly waiters = new SettleWaiters();
  private readonly watch: SessionWatch;
  private flushScheduled = false;
  /** Frames can be sent: neither half-closed nor over. */
  private writable = true;
  private ackTimeoutMs = DEFAULT_ACK_TIMEOUT_MS;
  private failure: TidemarkError | undefined;
  private lastOffset = 0;
  private countDone = 0;
  private readonly overWaiters: (() => void)[] = [];
  private isOver = false;
  private wasOpened = false;
  /** Settles went out without a request id since the last one with: they are not known to be on disk. */
  private owesAnswer = false;
  /** The stream comes to its end, so every settle has to be confirmed: its OK alone says nothing about the disk. */
  private ending = false;

  constructor(
    connection: Connection,
    open: OpenSession,
    auto: boolean,
    private readonly extendLeases: boolean,
    private readonly listener: SessionListener,
  ) {
    this.auto = auto;
    this.owed = new OwedOffsets(open.subscriber === "");
    this.laneDepth = auto ? 1 : open.maxInFlightPerLane;
    this.call = connection.subscribe();
    this.watch = new SessionWatch(
      () => this.extendHeld(),
      (silentMs) => this.cancel(new TidemarkError("UNAVAILABLE", "", `nothing was heard from the broker for ${Math.round(silentMs)} ms`)),
    );
    this.call.on("data", (frame: SubscribeFrame) => this.onFrame(frame));
    this.call.on("error", (error: ServiceError) => {
      this.failure ??= TidemarkError.fromCall(error);
    });
    // Comes after "error" too, and after the last frame was read.
    this.call.on("end", () => this.onEnd());
    this.write({ $case: "open", value: open });
  }

  /** Messages that this session is through with. */
  get doneCount(): number {
    return this.countDone;
  }

  /**
   * Everything up to it is done, as far as this client knows: where an ephemeral subscription goes on. Undefined: the session
   * was never opened and knows nothing.
   */
  get doneThrough(): number | undefined {
    if (!this.wasOpened) return undefined;
    let through = Math.max(this.lastOffset, this.finished.committedOffset);
    for (const batch of this.held) through = Math.min(through, batch.firstHeld - 1);
    for (const offset of this.owed.values()) through = Math.min(through, offset - 1);
    return through;
  }

  settle(batch: HeldBatch, delivery: Delivery, verdict: Verdict): void {
    const problem = this.takeVerdict(batch, delivery, verdict);
    if (problem !== undefined) {
      this.listener.event({ type: "settle_failed", firstOffset: delivery.offset, lastOffset: delivery.offset, error: problem });
    }
  }

  settleConfirmed(batch: HeldBatch, delivery: Delivery, verdict: Verdict): Promise<void> {
    const problem = this.takeVerdict(batch, delivery, verdict);
    if (problem !== undefined) return Promise.reject(problem);
    return this.auto ? Promise.resolve() : this.waiters.add(delivery.batchId, delivery.offset);
  }

  /** Stops reading; the transport's window then stops the broker. */
  pause(): void {
    this.call.pause();
    this.watch.suspend();
  }

  resume(): void {
    this.call.resume();
    this.watch.heard();
  }

  /** No more deliveries; the stream ends when nothing is held. */
  drain(): void {
    this.ending = true;
    this.flush();
    this.write({ $case: "drain", value: {} });
  }

  /**
   * Sends what is settled, gives back what is held, and waits for the broker's OK, 5 s at most. The broker answers all settles
   * first, from the disk.
   */
  close(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    this.ending = true;
    this.flush();
    if (this.auto) {
      // Half-close means nothing to an AUTO stream, and nothing is held.
      this.cancel(undefined);
    } else {
      // Without it the broker waits whether the end of this side becomes a cancel.
      this.write({ $case: "drain", value: {} });
      this.writable = false;
      this.call.end();
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.cancel(undefined), CLOSE_MS_MAX);
      this.overWaiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Gives a verdict its place in the next settle frame. Returns why it cannot hold. */
  private takeVerdict(batch: HeldBatch, delivery: Delivery, verdict: Verdict): TidemarkError | undefined {
    if (this.auto) {
      return verdict.kind === "ack" ? undefined : notHeld(delivery.offset, `was settled when it was sent (acks: "auto"), so ${verdict.kind} comes too late`);
    }
    if (!this.writable || batch.isRecalled(delivery)) return settleFailed(delivery.offset, "LEASE_LOST");
    if (!this.letGo(batch, delivery)) return notHeld(delivery.offset, "is not held any more: it was settled before");
    if (verdict.kind === "retry" || verdict.kind === "release") {
      this.owed.add(delivery.offset);
      this.laneHolds?.begin(delivery.orderingKey, this.listener.takeBehind(delivery));
    } else this.countDone++;
    if (verdict.kind === "ack") this.finished.add(delivery.offset);
    this.collector.add(delivery, verdict);
    if (this.collector.size >= RANGES_MAX) this.flush();
    this.scheduleFlush();
    return undefined;
  }

  private letGo(batch: HeldBatch, delivery: Delivery): boolean {
    const wasHeld = batch.letGo(delivery);
    if (batch.heldCount === 0) this.held.delete(batch);
    return wasHeld;
  }

  private scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    // After this turn's settles and the promise continuations that they set off.
    nextTick(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    if (!this.writable || (this.collector.isEmpty && !(this.ending && this.owesAnswer))) return;
    const requestId = this.waiters.sealRequest(this.ending || this.laneHolds?.awaitsAnswer === true);
    this.laneHolds?.sent(requestId);
    this.owesAnswer = requestId === 0n;
    this.write({ $case: "settle", value: this.collector.take() }, requestId);
  }

  private extendHeld(): void {
    if (!this.extendLeases || this.held.size === 0 || !this.writable) return;
    const extendAll = durationFromMs(this.ackTimeoutMs);
    this.write({
      $case: "settle",
      value: { acks: [], ackThroughBatchId: 0n, retries: [], rejects: [], releases: [], extends: [], extendAll },
    });
  }

  private write(frame: SubscribeRequest["frame"], requestId = 0n): void {
    // What may be outstanding is bounded by the flow window, so the answer of `write` is not needed.
    if (this.writable) this.call.write({ requestId, frame });
  }

  private onFrame(response: SubscribeFrame): void {
    this.watch.heard();
    try {
      this.read(response);
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      this.cancel(error);
    }
  }

  private read(response: SubscribeFrame): void {
    const { frame } = response;
    // A frame of a newer broker: not for us.
    if (frame === undefined) return;
    switch (frame.$case) {
      case "deliveries":
        return this.onDeliveries(frame.value);
      case "result":
        return this.onResult(frame.value);
      case "opened":
        return this.onOpened(frame.value);
      case "recall":
        return this.onRecall(frame.value);
      case "goingAway":
        return this.listener.goingAway(frame.value);
      case "heartbeat":
        this.finished.confirmThrough(frame.value.committedOffset);
        return this.listener.event(heartbeatEvent(frame.value));
      case "gap":
        return this.listener.event(gapEvent(frame.value));
      case "notice":
        if (frame.value.reason === "POSITION_MOVED") this.finished.clear();
        return this.listener.event(noticeEvent(frame.value));
    }
  }

  private onOpened(opened: SessionOpened): void {
    this.wasOpened = true;
    this.finished.confirmThrough(opened.committedOffset);
    if (opened.ordered && this.laneDepth > 1) this.laneHolds = new LaneHolds();
    if (opened.ackTimeout !== undefined) this.ackTimeoutMs = durationToMs(opened.ackTimeout);
    this.watch.opened(opened.heartbeat === undefined ? undefined : durationToMs(opened.heartbeat), this.ackTimeoutMs);
    this.listener.opened(opened);
  }

  private onDeliveries(frame: DeliveriesFrame): void {
    const batch = new HeldBatch(this, frame);
    const deliveries = batch.deliveries();
    for (const { offset } of deliveries) {
      if (offset > this.lastOffset) this.lastOffset = offset;
      this.finished.delete(offset);
    }
    this.owed.cameAgain(deliveries);
    if (this.auto) this.countDone += deliveries.length;
    else if (deliveries.length > 0) {
      batch.hold(deliveries);
      this.held.add(batch);
    }
    this.listener.deliveries(this.laneHolds?.sift(deliveries) ?? deliveries);
  }

  private onResult(result: SettleResult): void {
    for (const failure of result.failures) {
      if (failure.range !== undefined) this.finished.deleteRange(failure.range);
      if (this.waiters.fail(failure) || failure.range === undefined) continue;
      const firstOffset = safeNumber(failure.range.first, "first");
      const lastOffset = Math.max(firstOffset, safeNumber(failure.range.last, "last"));
      this.listener.event({ type: "settle_failed", firstOffset, lastOffset, error: settleFailed(firstOffset, failure.code) });
    }
    this.waiters.confirm(result.requestIds);
    const released = this.laneHolds?.answered(result.requestIds) ?? [];
    if (released.length > 0) this.listener.deliveries(released);
    this.finished.confirmThrough(result.committedOffset);
  }

  private onRecall({ ranges, cause }: Recall): void {
    for (const range of ranges) this.finished.deleteRange(range);
    const recalled = new Set<Delivery>();
    for (const batch of [...this.held]) {
      for (const delivery of batch.stillHeld()) {
        if (!ranges.some((range) => rangeHolds(range, delivery.batchId, delivery.offset))) continue;
        recalled.add(delivery);
        batch.recall(delivery);
        this.letGo(batch, delivery);
      }
    }
    for (const range of ranges) this.owed.addRecalled(range, this.lastOffset);
    this.listener.recalled(this.laneHolds?.drop(recalled) ?? recalled, enumName(DeliveryCause, cause));
  }

  /** Ends the stream from this side, with this error or as CANCELLED. */
  private cancel(error: TidemarkError | undefined): void {
    if (this.isOver) return;
    this.failure ??= error;
    this.writable = false;
    this.call.cancel();
    // A paused stream would never come to its end.
    this.call.resume();
  }

  private onEnd(): void {
    this.isOver = true;
    this.writable = false;
    this.watch.stop();
    const error = this.failure;
    this.waiters.failAll(outcomeUnknown(error ?? sessionOver(), "an unsettled message comes again"));
    this.listener.over(error);
    for (const batch of this.held) batch.letGoAll();
    this.held.clear();
    for (const wake of this.overWaiters.splice(0)) wake();
  }
}

function sessionOver(): TidemarkError {
  return new TidemarkError("CANCELLED", "", "the session is over");
}
