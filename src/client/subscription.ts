import { performance } from "node:perf_hooks";
import type { OffsetRange } from "../../generated/tidemark/v1/message.js";
import type { GoingAway, SessionOpened } from "../../generated/tidemark/v1/subscribe.js";
import { backoffMs } from "./backoff.js";
import type { Connection } from "./connection.js";
import type { Delivery } from "./delivery.js";
import { DeliveryQueue } from "./delivery-queue.js";
import { openedEvent } from "./frame-event.js";
import { openSession, type ResumePoint } from "./open-session.js";
import { Session, type SessionListener } from "./session.js";
import type { SubscribeOptions } from "./subscribe-options.js";
import { isPassing, TidemarkError } from "./tidemark-error.js";
import { durationToMs } from "./wire-time.js";

/** With `acks: "auto"`, how many deliveries may wait for the application before the stream is paused, and resumed below half. */
const AUTO_QUEUE_MAX = 1_000;
/** A session that lived so long was a good one: the next break starts the backoff anew. */
const GOOD_SESSION_MS = 1_000;

/**
 * The messages of a subscriber, as an async iterator that outlives broken streams. It opens at the first `next()`, so that
 * nothing is leased before somebody looks. Leaving the loop closes it.
 *
 *   new --next()--> open <--> waiting        open: a session, being opened or open
 *    |                |           |          waiting: between two sessions
 *    |            drain()         |          draining: no more deliveries, until nothing is held
 *    |                v           |
 *    |             draining       |
 *    +-- close() --> closing <----+--> over
 */
export class Subscription implements AsyncIterableIterator<Delivery, undefined, undefined> {
  private state: "new" | "open" | "waiting" | "draining" | "closing" | "over" = "new";
  private readonly queue = new DeliveryQueue();
  private readonly auto: boolean;
  private readonly listener: SessionListener;
  private session: Session | undefined;
  private paused = false;
  /** Sessions that broke in a row before they did any good. */
  private failures = 0;
  /** When this session was opened; undefined: not yet. */
  private openedMs: number | undefined;
  private doneCount = 0;
  /** Of an ephemeral subscription, once it was open: where the next session goes on. */
  private resumeAfter: number | undefined;
  private queueId = "";
  /** The last session that was open, and what it could do; undefined: none was. */
  private lastSession: { readonly id: string; readonly capabilities: readonly string[] } | undefined;
  /** What was acked in it and may not be on disk: said to the next one. */
  private done: readonly OffsetRange[] = [];
  /** What a broker that goes away asked for; undefined: nothing. */
  private awayUntilMs: number | undefined;
  private reopenTimer: NodeJS.Timeout | undefined;
  private closing: Promise<void> | undefined;

  /** @param whenOver called once, when nothing is left to close */
  constructor(
    private readonly connection: Connection,
    private readonly queueName: string,
    private readonly clientId: string,
    private readonly options: SubscribeOptions,
    private readonly whenOver: (subscription: Subscription) => void,
  ) {
    this.auto = options.acks === "auto";
    this.listener = {
      opened: (frame) => this.onOpened(frame),
      deliveries: (deliveries) => this.onDeliveries(deliveries),
      recalled: (deliveries, cause) => this.onRecalled(deliveries, cause),
      takeBehind: ({ orderingKey, offset }) => this.queue.take((delivery) => delivery.orderingKey === orderingKey && delivery.offset > offset),
      goingAway: (frame) => this.onGoingAway(frame),
      event: (event) => this.options.onEvent?.(event),
      over: (error) => this.onSessionOver(error),
    };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next delivery. Rejects with a TidemarkError when the broker refuses the subscription, or ends it for good. */
  next(): Promise<IteratorResult<Delivery, undefined>> {
    if (this.state === "new") this.start();
    const result = this.queue.next();
    if (this.paused && this.queue.length < AUTO_QUEUE_MAX / 2) {
      this.paused = false;
      this.session?.resume();
    }
    return result;
  }

  /** Leaving a `for await` loop calls this: the same as `close()`. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /**
   * Ends the iteration in good order: nothing more is asked for, what has come is still handed out and held, and when all of it
   * is settled the iteration ends.
   */
  drain(): void {
    if (this.state === "open") {
      this.state = "draining";
      this.session?.drain();
    } else if (this.state === "new" || this.state === "waiting") {
      clearTimeout(this.reopenTimer);
      this.finish(undefined);
    }
  }

  /**
   * Sends the settles made so far, gives back every delivery that has none, and waits until the broker has confirmed that, 5 s
   * at most. The iteration ends. Safe to call again.
   */
  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    if (this.state === "over") return;
    this.state = "closing";
    clearTimeout(this.reopenTimer);
    this.queue.take();
    await this.session?.close();
    this.finish(undefined);
  }

  private start(): void {
    const { signal } = this.options;
    if (signal?.aborted === true) {
      this.finish(undefined);
      return;
    }
    signal?.addEventListener("abort", this.onAbort);
    this.open();
  }

  private readonly onAbort = (): void => {
    void this.close();
  };

  private open(): void {
    this.state = "open";
    this.awayUntilMs = undefined;
    this.paused = false;
    this.openedMs = undefined;
    const frame = openSession(this.queueName, this.clientId, this.options, this.resumePoint());
    this.session = new Session(this.connection, frame, this.auto, this.options.extendLeases ?? true, this.listener);
  }

  /** Offsets mean nothing without their queue; a broker that does not know a field would refuse it. */
  private resumePoint(): ResumePoint {
    const { lastSession, resumeAfter, doneCount } = this;
    const replacesSessionId = lastSession?.capabilities.includes("replace-session") === true ? lastSession.id : "";
    const done = lastSession?.capabilities.includes("done-at-open") === true ? this.done : [];
    const queueId = resumeAfter !== undefined || done.length > 0 ? this.queueId : "";
    return { afterOffset: resumeAfter, queueId, doneCount, replacesSessionId, done, isKnown: lastSession !== undefined };
  }

  private onOpened(frame: SessionOpened): void {
    this.queueId = frame.queueId;
    this.lastSession = { id: frame.sessionId, capabilities: frame.capabilities };
    this.done = [];
    this.openedMs = performance.now();
    this.options.onEvent?.(openedEvent(frame));
  }

  private onDeliveries(deliveries: readonly Delivery[]): void {
    if (this.state === "closing") return;
    this.queue.push(deliveries);
    if (this.auto && !this.paused && this.queue.length >= AUTO_QUEUE_MAX) {
      this.paused = true;
      this.session?.pause();
    }
  }

  private onRecalled(deliveries: ReadonlySet<Delivery>, cause: string): void {
    const unseen = new Set(this.queue.take((delivery) => deliveries.has(delivery)));
    const inHand = [...deliveries].filter((delivery) => !unseen.has(delivery));
    if (inHand.length > 0) this.options.onEvent?.({ type: "recalled", deliveries: inHand, cause });
  }

  private onGoingAway(frame: GoingAway): void {
    if (this.state !== "open") return;
    const graceMs = frame.grace === undefined ? 0 : durationToMs(frame.grace);
    const reconnectAfterMs = frame.reconnectAfter === undefined ? 0 : durationToMs(frame.reconnectAfter);
    this.awayUntilMs = performance.now() + reconnectAfterMs;
    // What the application has not seen goes back; what it has in hand it may still settle.
    if (!this.auto) for (const delivery of this.queue.take()) delivery.release();
    this.session?.drain();
    this.options.onEvent?.({ type: "going_away", graceMs, reconnectAfterMs, reason: frame.reason });
  }

  private onSessionOver(error: TidemarkError | undefined): void {
    const session = this.session;
    this.session = undefined;
    if (session === undefined || (this.state !== "open" && this.state !== "draining")) return;
    this.doneCount += session.doneCount;
    // The leases went with the stream. What came without leases is the application's all the same.
    if (!this.auto) this.queue.take();
    // What was done belongs to a queue that is gone; the subscriber begins on the new one.
    const isStale = error?.reason === "QUEUE_ID_MISMATCH" && this.options.queueId === undefined && this.done.length > 0;
    if (isStale) this.done = [];
    if (this.state === "draining" || (!isStale && this.isLastSession(error))) {
      // A stream that breaks while it drains is as good as drained: what was held comes again for whoever opens the next.
      this.finish(error !== undefined && !isPassing(error) ? error : undefined);
      return;
    }
    if ((this.options.subscriber ?? "") === "") this.resumeAfter = session.doneThrough ?? this.resumeAfter;
    // A session that was never open has taken nothing over from the one before.
    else if (session.doneThrough !== undefined) this.done = session.finished.runs();
    this.reopenLater(error ?? new TidemarkError("UNAVAILABLE", "", "the broker ended the stream"));
  }

  private isLastSession(error: TidemarkError | undefined): boolean {
    if (error !== undefined) return !isPassing(error);
    // OK is the end when it was asked for; a broker that goes away says OK to the drain.
    return this.options.stop !== undefined && this.awayUntilMs === undefined;
  }

  private reopenLater(cause: TidemarkError): void {
    this.state = "waiting";
    const good = this.openedMs !== undefined && performance.now() - this.openedMs >= GOOD_SESSION_MS;
    this.failures = good ? 1 : this.failures + 1;
    const awayMs = this.awayUntilMs === undefined ? 0 : this.awayUntilMs - performance.now();
    const delayMs = Math.max(awayMs, cause.retryAfterMs ?? 0) + backoffMs(this.failures, Math.random());
    this.reopenTimer = setTimeout(() => this.open(), delayMs);
    this.options.onEvent?.({ type: "reconnecting", cause, delayMs });
  }

  private finish(error: TidemarkError | undefined): void {
    if (this.state === "over") return;
    this.state = "over";
    this.options.signal?.removeEventListener("abort", this.onAbort);
    this.queue.end(error);
    this.whenOver(this);
  }
}
