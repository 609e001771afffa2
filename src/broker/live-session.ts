import type { BrokerError } from "../core/errors.js";
import type { BatchFacts, DeliveryCause, DeliveryRun, FlowWindow, OffsetRun, OpenSession, SessionId, SettleFailure, Settlement, Sharing, WaitingFor } from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import type { Fact } from "../core/subscription/facts.js";
import { monotonicMs, wallMs } from "../core/units.js";
import type { MonotonicMs, Offset, WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { HeartbeatFacts, Session, SessionSink } from "./api.js";
import type { ClientInfo } from "./client-api.js";
import type { SettleAnswer } from "./pull-api.js";
import type { Alarm, Scheduler } from "./scheduler.js";
import { endWith, plainEnd, sessionNotFound, silentTooLong } from "./session-end.js";
import type { LossReason, SessionEnd } from "./session-end.js";
import { effectiveFlow, sameFlow } from "./session-terms.js";
import type { SessionTerms } from "./session-terms.js";
import type { BrokerSettings } from "./settings.js";
import { RELEASE_ALL, SettleAnswers } from "./settle-answers.js";

/** What a session asks of the subscription that it belongs to. */
export interface SessionHome {
  /** The subscription's patterns; empty: everything. */
  readonly events: readonly string[];
  readonly deadLetterCount: number;
  post(fact: Fact): void;
  inFlight(session: SessionId): number;
  inFlightBytes(session: SessionId): number;
  waitingFor(session: SessionId): WaitingFor | undefined;
  /** Another session of an exclusive subscription works in its place. */
  standsBy(session: SessionId): boolean;
  backlogCount(): number;
  committedOffset(): Offset;
  headOffset(): Offset;
  /** The session is over. Called once. */
  sessionOver(session: LiveSession, end: SessionEnd): void;
}

/** What a session works with besides its home. */
export interface SessionParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** What holds now, for what the client leaves out. */
  readonly settings: () => BrokerSettings;
  /** Something that watchers of clients are told has changed. */
  readonly changed: (session: LiveSession) => void;
}

/** One open session: the client's frames go in as facts, the subscription's effects come out through the sink. */
export class LiveSession implements Session {
  readonly queue: string;
  readonly subscriber: string;
  private readonly connectTimeMs: WallMs;
  private readonly answers = new SettleAnswers();
  private readonly heartbeatAlarm: Alarm;
  private readonly silenceAlarm: Alarm;
  private flowNow: FlowWindow;
  private lastSent: MonotonicMs;
  private lastHeard: MonotonicMs;
  private transportReady = true;
  private everSettled = false;
  private over = false;
  private clientFinished = false;
  /** The client asked for no more deliveries. */
  private draining = false;
  /** The client was told that the session is open. */
  private started = false;
  /** What ended it before that. */
  private refusedBy: BrokerError | undefined;
  /** What the stream ends with when the session is done: nothing, or that the server goes away. */
  private endsWith: BrokerError | undefined;

  constructor(
    readonly id: SessionId,
    private readonly open: OpenSession,
    private readonly terms: SessionTerms,
    private readonly sink: SessionSink,
    private readonly home: SessionHome,
    private readonly parts: SessionParts,
  ) {
    this.queue = open.queue;
    this.subscriber = open.subscriber;
    this.flowNow = terms.flow;
    const now = parts.clock.now();
    this.connectTimeMs = now.wallMs;
    this.lastSent = now.monotonicMs;
    this.lastHeard = now.monotonicMs;
    this.heartbeatAlarm = parts.scheduler.alarm(() => {
      this.beat();
    });
    this.silenceAlarm = parts.scheduler.alarm(() => {
      this.checkSilence();
    });
  }

  /** Starts the clocks, once `opened` was sent. */
  start(): void {
    this.started = true;
    this.heartbeatAlarm.set(monotonicMs(this.lastSent + this.terms.heartbeatMs));
    if (this.terms.clientTimeoutMs > 0) this.silenceAlarm.set(monotonicMs(this.lastHeard + this.terms.clientTimeoutMs));
  }

  get sharing(): Sharing {
    return this.open.sharing;
  }

  /** Throws what ended the session while it was being opened. */
  checkOpening(): void {
    if (this.refusedBy !== undefined) throw this.refusedBy;
  }

  info(): ClientInfo {
    const { kind, clientId, peer, queue, subscriber, ackMode, sharing, labels, userAgent } = this.open;
    const now = this.parts.clock.now();
    return {
      sessionId: this.id,
      kind,
      clientId,
      peer,
      queue,
      subscriber,
      events: this.home.events,
      ackMode,
      draining: this.draining,
      sharing,
      standby: this.home.standsBy(this.id),
      flow: this.flowNow,
      inFlightCount: this.home.inFlight(this.id),
      inFlightBytes: this.home.inFlightBytes(this.id),
      backlogCount: this.home.backlogCount(),
      waitingFor: this.home.waitingFor(this.id),
      connectTimeMs: this.connectTimeMs,
      lastFrameTimeMs: wallMs(now.wallMs - (now.monotonicMs - this.lastHeard)),
      labels,
      userAgent,
    };
  }

  /** What it may hold. */
  get window(): FlowWindow {
    return this.flowNow;
  }

  /** How things stand with it and its subscriber at this moment. */
  standing(): HeartbeatFacts {
    const { home, id } = this;
    return {
      headOffset: home.headOffset(),
      committedOffset: home.committedOffset(),
      inFlightCount: home.inFlight(id),
      backlogCount: home.backlogCount(),
      deadLetterCount: home.deadLetterCount,
      waitingFor: home.waitingFor(id),
    };
  }

  settle(requestId: bigint, settlement: Settlement): void {
    if (this.over || this.clientFinished) return;
    this.everSettled = true;
    this.post({ type: "settle_received", session: this.id, requestId, settlement });
  }

  /** Verdicts that did not come over the session's stream. Rejects when the session ends before they are durable. */
  settleApart(settlement: Settlement): Promise<SettleAnswer> {
    if (this.over) return Promise.reject(sessionNotFound(this.id));
    this.everSettled = true;
    const { requestId, answer } = this.answers.ask();
    this.post({ type: "settle_received", session: this.id, requestId, settlement });
    return answer;
  }

  /** Somebody waits for verdicts to be durable that did not come over the session's stream. */
  get owesAnswers(): boolean {
    return this.answers.anyOwed;
  }

  /** What a batch has from here on was never told to the client: as if it had not been handed out. */
  withdraw(batchId: number, first: Offset): void {
    this.post({ type: "hand_out_withdrawn", session: this.id, batchId, first });
  }

  flow(window: FlowWindow): void {
    if (this.over) return;
    const before = this.flowNow;
    this.flowNow = effectiveFlow(window, this.parts.settings());
    this.post({ type: "flow_changed", session: this.id, flow: this.flowNow });
    if (!sameFlow(before, this.flowNow)) this.parts.changed(this);
  }

  drain(): void {
    if (this.over || this.draining) return;
    this.draining = true;
    this.parts.changed(this);
    this.stopDeliveries();
  }

  ping(): void {
    if (this.over) return;
    this.heard();
    this.sendHeartbeat();
  }

  heard(): void {
    this.lastHeard = this.parts.clock.monotonic();
  }

  finishing(): void {
    if (this.over || this.clientFinished || this.open.ackMode === "AUTO") return;
    this.clientFinished = true;
    // A drained session is finished when nothing is held and every answer was given.
    this.stopDeliveries();
  }

  halfClosed(): void {
    this.finishing();
    if (!this.clientFinished) return;
    // Gives back what is held.
    this.post({ type: "settle_received", session: this.id, requestId: this.answers.forNobody(), settlement: RELEASE_ALL });
  }

  transportChanged(ready: boolean): void {
    this.transportReady = ready;
    this.post({ type: "transport_changed", session: this.id, ready });
  }

  taken(batchId: number): void {
    this.post({ type: "batch_taken", session: this.id, batchId });
  }

  lost(reason: LossReason = "CANCELLED"): void {
    if (!this.over) this.leave(plainEnd(reason));
  }

  failed(error: BrokerError): void {
    if (!this.over) this.leave(endWith(error));
  }

  /** Effects of the subscription. */
  deliver(batch: BatchFacts, parts: readonly DeliveryPart[]): void {
    if (this.over) return;
    this.sent();
    this.sink.deliver(batch, parts, this.home.backlogCount());
  }

  confirm(requestIds: readonly bigint[], failures: readonly SettleFailure[], committedOffset: Offset): void {
    if (this.over) return;
    const { ids, failed } = this.answers.areUnused ? { ids: requestIds, failed: failures } : this.answers.sift(requestIds, failures, committedOffset);
    if (ids.length === 0 && failed.length === 0) return;
    this.sent();
    this.sink.result(ids, failed, committedOffset);
  }

  recall(ranges: readonly DeliveryRun[], cause: DeliveryCause): void {
    if (this.over) return;
    this.sent();
    this.sink.recall(ranges, cause);
  }

  gap(first: Offset, last: Offset, matchingCount: number): void {
    if (this.over) return;
    this.sent();
    this.sink.gap(first, last, matchingCount);
  }

  notice(reason: string, detail: string, range: OffsetRun | DeliveryRun | undefined): void {
    if (this.over) return;
    this.sent();
    this.sink.notice(reason, detail, range);
    // It does not stand by any more.
    if (reason === "TAKEN_OVER") this.parts.changed(this);
  }

  /** The subscription has nothing more for this session. */
  finish(): void {
    if (this.over) return;
    if (this.clientFinished && !this.everSettled) {
      this.notice("HALF_CLOSED_EXPLICIT", "the client finished sending without settling anything, so everything went back; with ack_mode AUTO a stream that only listens goes on", undefined);
    }
    this.end(this.endOfWork());
  }

  /** Tells the client to go elsewhere, and lets it finish what it holds. */
  goAway(graceMs: number, reconnectAfterMs: number, error: BrokerError): void {
    if (this.over) return;
    this.endsWith = error;
    this.sent();
    this.sink.goingAway(graceMs, reconnectAfterMs, error.message);
    this.stopDeliveries();
  }

  /** Ends the session from the server's side. */
  end(end: SessionEnd): void {
    if (this.over) return;
    this.leave(end);
    if (this.started) this.sink.end(end.error);
    else this.refusedBy = end.error;
  }

  /** Nothing is held and nothing more will come: why that is. */
  private endOfWork(): SessionEnd {
    if (this.endsWith !== undefined) return endWith(this.endsWith);
    if (this.clientFinished) return plainEnd("HALF_CLOSED");
    return plainEnd(this.draining ? "DRAINED" : "STOP_REACHED");
  }

  private stopDeliveries(): void {
    this.post({ type: "drain_requested", session: this.id });
  }

  private leave(end: SessionEnd): void {
    this.over = true;
    this.heartbeatAlarm.clear();
    this.silenceAlarm.clear();
    this.answers.fail(end.error ?? sessionNotFound(this.id));
    this.home.sessionOver(this, end);
  }

  private post(fact: Fact): void {
    if (!this.over) this.home.post(fact);
  }

  private sent(): void {
    this.lastSent = this.parts.clock.monotonic();
  }

  private beat(): void {
    const due = monotonicMs(this.lastSent + this.terms.heartbeatMs);
    if (due > this.parts.clock.monotonic()) {
      this.heartbeatAlarm.set(due);
      return;
    }
    this.sendHeartbeat();
    this.heartbeatAlarm.set(monotonicMs(this.lastSent + this.terms.heartbeatMs));
  }

  /** To a client that does not read, none is sent: they would pile up. */
  private sendHeartbeat(): void {
    this.sent();
    if (this.transportReady) this.sink.heartbeat(this.standing());
  }

  private checkSilence(): void {
    const due = monotonicMs(this.lastHeard + this.terms.clientTimeoutMs);
    if (due > this.parts.clock.monotonic()) {
      this.silenceAlarm.set(due);
      return;
    }
    this.end(endWith(silentTooLong(this.terms.clientTimeoutMs)));
  }
}
