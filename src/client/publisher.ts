import { performance } from "node:perf_hooks";
import { nextTick } from "node:process";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import type { PublishResult, PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import { backoffMs } from "./backoff.js";
import type { Connection } from "./connection.js";
import { FrameQueue } from "./frame-queue.js";
import { MessageEncoder } from "./message-encoder.js";
import { isTimed, mustBeString, type OutgoingMessage } from "./outgoing-message.js";
import { FRAME_BYTES_MAX, type PublishFrame, type Published, type Reject, type Resolve } from "./publish-frame.js";
import { clientClosed, isPassing, isRefusal, outcomeUnknown, TidemarkError } from "./tidemark-error.js";
import { publishAlone } from "./unary-publish.js";

/** Sent and not yet answered: enough to keep the broker's commits full, and a bound on what one break leaves unknown. */
const FRAMES_IN_FLIGHT_MAX = 16;
const BYTES_IN_FLIGHT_MAX = 8 * 1024 * 1024;
/** Waiting for that window; from here on `ready` makes producers wait. */
const BYTES_WAITING_MAX = 8 * 1024 * 1024;
const CLOSE_MS_MAX = 5_000;

/** Frames are encoded as they fill. */
const asItIs = (frame: Buffer): Buffer => frame;

/** How to settle the promise made last. */
let resolveLast: Resolve;
let rejectLast: Reject;
/** One for all promises: a function made for each would cost as much again as the promise. */
const keepSettlers = (resolve: Resolve, reject: Reject): void => {
  resolveLast = resolve;
  rejectLast = reject;
};

/**
 * Sends messages over one PublishStream. What is published within one turn of the event loop shares a frame per queue; what
 * comes while the window is full gathers into the frames after it. A lone message leaves at the end of its own turn.
 *
 *   idle --message--> connecting --connected--> open --stream over--> idle
 *                                                 ^                    |  messages left
 *                                                 +---- backing_off <--+
 */
export class Publisher {
  private state: "idle" | "connecting" | "open" | "backing_off" | "closed" = "idle";
  private call: ClientDuplexStream<Buffer, PublishStreamResponse> | undefined;
  private readonly waiting = new FrameQueue();
  private readonly encoder = new MessageEncoder();
  /** In the order sent. */
  private readonly inFlight = new Map<number, PublishFrame>();
  private bytesInFlight = 0;
  private lastRequestId = 0;
  private flushScheduled = false;
  /** Streams that broke in a row without one answer. */
  private failures = 0;
  private backoffTimer: NodeJS.Timeout | undefined;
  private readonly readyWaiters: (() => void)[] = [];
  private readonly idleWaiters: (() => void)[] = [];
  private accepting = true;

  /** @param patienceMs how long a message waits for a connection before it fails */
  constructor(
    private readonly connection: Connection,
    private readonly patienceMs: number,
  ) {}

  publish(queue: string, message: OutgoingMessage): Promise<Published> {
    if (!this.accepting) return Promise.reject(clientClosed());
    const { encoder } = this;
    try {
      mustBeString("queue", queue);
      encoder.take(message);
    } catch (error) {
      if (error instanceof Error) return Promise.reject(error);
      throw error;
    }
    if (encoder.bytes > FRAME_BYTES_MAX || isTimed(message)) return publishAlone(this.connection, this.patienceMs, queue, message);
    const published = new Promise<Published>(keepSettlers);
    this.waiting.add(queue, encoder, resolveLast, rejectLast);
    if (!this.flushScheduled) {
      this.flushScheduled = true;
      // After this turn's callers and all promise continuations that they set off, before any I/O.
      nextTick(() => {
        this.flushScheduled = false;
        this.flush();
      });
    }
    return published;
  }

  /** Resolves when there is room for more. */
  ready(): Promise<void> {
    if (this.waiting.bytes < BYTES_WAITING_MAX) return Promise.resolve();
    return new Promise((resolve) => this.readyWaiters.push(resolve));
  }

  /** Waits for the answers that are missing, 5 s at most, then ends the stream. */
  async close(): Promise<void> {
    this.accepting = false;
    if (!this.isIdle) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CLOSE_MS_MAX);
        this.idleWaiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    clearTimeout(this.backoffTimer);
    this.state = "closed";
    for (const frame of this.takeInFlight()) frame.fail(outcomeUnknown(clientClosed()));
    this.failWaiting(Infinity, clientClosed());
    this.call?.end();
  }

  private get isIdle(): boolean {
    return this.waiting.isEmpty && this.inFlight.size === 0;
  }

  private flush(): void {
    if (this.state === "idle") this.connect();
    if (this.state !== "open" || this.call === undefined) return;
    while (this.inFlight.size < FRAMES_IN_FLIGHT_MAX && this.bytesInFlight < BYTES_IN_FLIGHT_MAX) {
      const frame = this.waiting.shift();
      if (frame === undefined) break;
      const requestId = ++this.lastRequestId;
      this.inFlight.set(requestId, frame);
      this.bytesInFlight += frame.bytes;
      // The window bounds what piles up in the transport, so the answer of `write` need not.
      this.call.write(frame.encoded(requestId));
    }
    this.wakeWaiters();
  }

  private connect(): void {
    const oldestMs = this.waiting.oldestMs;
    if (oldestMs === undefined) return;
    this.state = "connecting";
    const leftMs = Math.max(0, oldestMs + this.patienceMs - performance.now());
    this.connection.ready(leftMs).then(
      () => this.openStream(),
      (error: unknown) => this.connectFailed(error),
    );
  }

  private connectFailed(error: unknown): void {
    if (!(error instanceof TidemarkError)) throw error;
    if (this.state !== "connecting") return;
    this.state = "idle";
    this.failWaiting(performance.now() - this.patienceMs, error);
    this.connect();
  }

  private openStream(): void {
    if (this.state !== "connecting") return;
    const { path, responseDeserialize } = BrokerServiceService.publishStream;
    const call: ClientDuplexStream<Buffer, PublishStreamResponse> = this.connection.broker.makeBidiStreamRequest(path, asItIs, responseDeserialize);
    let failure: TidemarkError | undefined;
    call.on("data", (response: PublishStreamResponse) => this.onResults(response.results));
    call.on("error", (error: ServiceError) => {
      failure = TidemarkError.fromCall(error);
    });
    // Comes after "error" too, and after the last answer was read.
    call.on("end", () => this.onStreamOver(failure ?? new TidemarkError("UNAVAILABLE", "", "the broker ended the publish stream")));
    this.call = call;
    this.state = "open";
    this.flush();
  }

  private onResults(results: readonly PublishResult[]): void {
    this.failures = 0;
    for (const result of results) {
      const requestId = Number(result.requestId);
      const frame = this.inFlight.get(requestId);
      if (frame === undefined) continue;
      this.inFlight.delete(requestId);
      this.bytesInFlight -= frame.bytes;
      frame.answer(result);
    }
    this.flush();
  }

  private onStreamOver(cause: TidemarkError): void {
    this.call = undefined;
    if (this.state === "closed") return;
    this.state = "idle";
    this.failures++;
    const again: PublishFrame[] = [];
    for (const frame of this.takeInFlight()) {
      if (isRefusal(cause)) {
        frame.fail(cause);
      } else if (isPassing(cause)) {
        const rest = frame.afterBreak(outcomeUnknown(cause));
        if (rest !== undefined) again.push(rest);
      } else {
        frame.fail(outcomeUnknown(cause));
      }
    }
    this.waiting.putBack(again);
    this.failWaiting(performance.now() - this.patienceMs, cause);
    if (!this.waiting.isEmpty) {
      this.state = "backing_off";
      this.backoffTimer = setTimeout(
        () => {
          this.state = "idle";
          this.connect();
        },
        backoffMs(this.failures, Math.random()),
      );
    }
    this.wakeWaiters();
  }

  private takeInFlight(): PublishFrame[] {
    const frames = [...this.inFlight.values()];
    this.inFlight.clear();
    this.bytesInFlight = 0;
    return frames;
  }

  private failWaiting(bornMsMax: number, error: TidemarkError): void {
    for (const frame of this.waiting.takeOlderThan(bornMsMax)) frame.fail(frame.sentBefore ? outcomeUnknown(error) : error);
    this.wakeWaiters();
  }

  private wakeWaiters(): void {
    if (this.readyWaiters.length > 0 && this.waiting.bytes < BYTES_WAITING_MAX) {
      for (const wake of this.readyWaiters.splice(0)) wake();
    }
    if (this.idleWaiters.length > 0 && this.isIdle) {
      for (const wake of this.idleWaiters.splice(0)) wake();
    }
  }
}
