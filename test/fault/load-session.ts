import { setTimeout as delay } from "node:timers/promises";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { OpenSession, Settlement, StartPosition, SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import type { Deliveries, DeliveryRange, Recall, SettleResult, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import type { Verdict } from "../support/history.js";
import type { SeededRandom } from "../support/seeded-random.js";
import type { Stubs } from "../support/stubs.js";
import { keyIn } from "./load-publisher.js";
import type { Recording } from "./recording.js";

const SECOND = { seconds: 1n, nanos: 0 };
/** Short, so that leases run out between two kills. */
const LEASE = { seconds: 0n, nanos: 400_000_000 };
/** One message of so many hangs its consumer: it is left alone the first time, and takes long the next. Its count has to outlive kills. */
const HARD_EVERY = 31;
const HARD_THINK_MS = 250;
const RETRY_DELAY_MS_MAX = 50;
const THINK_MS_MAX = 15;

export interface LoadSubscriberOptions {
  readonly subscriber: string;
  readonly queue: string;
  readonly events: readonly string[];
  readonly stubs: Stubs;
  readonly recording: Recording;
  readonly random: SeededRandom;
  /** On an ordered queue, how many messages of a lane it may hold. */
  readonly laneDepth?: number;
  /** Says goodbye from time to time, stays away for a while, and returns. */
  readonly leaves: boolean;
}

/** One Subscribe stream from open to end. */
export class LoadSession {
  /** Resolves however the stream ends; rejects when an answer makes no sense. */
  readonly over: Promise<void>;
  private readonly name: string;
  private readonly call: ClientDuplexStream<SubscribeRequest, SubscribeResponse>;
  /** What this session was handed and has said nothing about yet, with the batch that holds it. */
  private readonly held = new Map<number, bigint>();
  /** The batch in which a message came last. */
  private readonly cameIn = new Map<number, bigint>();
  /** What each request was about: offsets, and the batches that they came in. */
  private readonly asked = new Map<bigint, ReadonlyMap<number, bigint>>();
  private lastRequestId = 0n;
  private isOver = false;
  private endNoted = false;
  private breakRun: (error: Error) => void = () => undefined;

  constructor(
    private readonly options: LoadSubscriberOptions,
    private draining: boolean,
  ) {
    const { recording, subscriber, queue, events, stubs, laneDepth } = options;
    this.name = recording.nextSession(subscriber);
    this.call = stubs.broker.subscribe();
    this.over = new Promise((resolve, reject) => {
      this.breakRun = reject;
      this.call.on("status", ({ code, details }) => {
        this.isOver = true;
        this.noteEnd(false);
        // CANCELLED is ours, UNAVAILABLE is the kill (grpc-js also says INTERNAL or UNKNOWN for a broken connection).
        if ([0, 1, 2, 13, 14].includes(code)) resolve();
        else reject(new Error(`session ${this.name} ended with ${code}: ${details}`));
      });
    });
    // `status` has told it.
    this.call.on("error", () => undefined);
    this.call.on("data", (response: SubscribeResponse) => {
      if (!this.endNoted || this.call.writableEnded) this.take(response);
    });
    recording.add({ type: "open_sent", subscriber, session: this.name, events, ...(laneDepth !== undefined && { laneDepth }) });
    const open: OpenSession = {
      ...OpenSession.create(),
      queue,
      subscriber,
      events: [...events],
      start: { $case: "startAt", value: StartPosition.EARLIEST },
      flow: { maxMessages: 200, maxBytes: 0n, paused: false },
      maxBatchMessages: 20,
      ackTimeout: LEASE,
      heartbeat: SECOND,
      maxInFlightPerLane: laneDepth ?? 0,
      clientId: this.name,
    };
    this.call.write(SubscribeRequest.create({ frame: { $case: "open", value: open } }));
  }

  drain(): void {
    this.draining = true;
    const held = [...this.held.keys()];
    for (const offset of held) this.settle("ack", [offset], this.held.get(offset) ?? 0n);
  }

  halfClose(): void {
    if (this.isOver) return;
    this.noteEnd(true);
    this.call.end();
  }

  breakOff(): void {
    this.noteEnd(false);
    this.call.cancel();
  }

  private noteEnd(graceful: boolean): void {
    if (this.endNoted) return;
    this.endNoted = true;
    this.options.recording.add({ type: "session_ended", session: this.name, graceful });
  }

  private take({ frame }: SubscribeResponse): void {
    const { recording } = this.options;
    switch (frame?.$case) {
      case "opened":
        recording.add({ type: "opened", session: this.name, committedOffset: Number(frame.value.committedOffset) });
        break;
      case "deliveries":
        this.takeDeliveries(frame.value);
        break;
      case "result":
        this.takeResult(frame.value);
        break;
      case "heartbeat":
        recording.add({ type: "committed_seen", session: this.name, committedOffset: Number(frame.value.committedOffset) });
        break;
      case "recall":
        this.takeRecall(frame.value);
        break;
      case "gap":
        this.breakRun(new Error(`session ${this.name} was told of a gap, but nothing limits retention here`));
        break;
      default:
        break;
    }
  }

  private takeDeliveries(batch: Deliveries): void {
    const offsets: number[] = [];
    for (const message of batch.messages) {
      const offset = Number(message.offset);
      offsets.push(offset);
      this.held.set(offset, batch.batchId);
      this.cameIn.set(offset, batch.batchId);
      this.options.recording.add({
        type: "delivered",
        session: this.name,
        offset,
        key: keyIn(message.payload),
        event: message.event,
        attempt: batch.attempt,
        deliveryCount: batch.deliveryCount,
      });
    }
    if (this.draining) this.settle("ack", offsets, batch.batchId);
    else {
      this.consume(offsets.filter((offset) => !isHard(offset)), batch.batchId).catch(this.breakRun);
      if (batch.deliveryCount > 1) this.consumeSlowly(offsets.filter(isHard), batch.batchId).catch(this.breakRun);
    }
  }

  private takeRecall({ ranges }: Recall): void {
    const offsets: number[] = [];
    for (const { first, last, batchId } of ranges) {
      for (let offset = Number(first); offset <= Math.max(Number(first), Number(last)); offset++) {
        if (this.cameIn.get(offset) !== batchId) this.breakRun(new Error(`session ${this.name} was recalled offset ${offset} of batch ${batchId}, which it never got`));
        offsets.push(offset);
        this.held.delete(offset);
      }
    }
    this.options.recording.add({ type: "recalled", session: this.name, offsets });
  }

  /** Thinks for a moment, then mostly acks, sometimes does what consumers do. */
  private async consume(offsets: readonly number[], batchId: bigint): Promise<void> {
    const { random, leaves } = this.options;
    const habit = random.next();
    await delay(random.between(0, THINK_MS_MAX));
    if (this.isSilent) return;
    if (habit < 0.6) this.settle("ack", offsets, batchId);
    else if (habit < 0.75) this.ackThrough(batchId, offsets);
    else if (habit < 0.76 && !leaves) this.breakOff();
    else {
      const said: Record<Verdict, number[]> = { ack: [], retry: [], reject: [], release: [] };
      for (const offset of offsets) {
        const mood = random.next();
        if (mood < 0.7) said.ack.push(offset);
        else if (mood < 0.8) said.retry.push(offset);
        else if (mood < 0.82) said.reject.push(offset);
        else if (mood < 0.86) said.release.push(offset);
      }
      for (const verdict of ["ack", "retry", "reject", "release"] as const) this.settle(verdict, said[verdict], batchId);
    }
  }

  private async consumeSlowly(offsets: readonly number[], batchId: bigint): Promise<void> {
    if (offsets.length === 0) return;
    await delay(HARD_THINK_MS);
    if (!this.isSilent) this.settle("ack", offsets, batchId);
  }

  private get isSilent(): boolean {
    return this.isOver || this.call.writableEnded || this.endNoted;
  }

  /** Says one thing about several messages of one batch, in one frame, and asks for the answer. */
  private settle(verdict: Verdict, offsets: readonly number[], batchId: bigint): void {
    const mine = offsets.filter((offset) => this.held.get(offset) === batchId);
    if (mine.length === 0) return;
    const ranges = mine.map((offset) => ({ first: BigInt(offset), last: 0n, batchId }));
    const settlement = Settlement.create();
    const delayMs = this.options.random.between(0, RETRY_DELAY_MS_MAX);
    switch (verdict) {
      case "ack":
        settlement.acks = isRun(mine) ? [{ first: BigInt(mine[0]!), last: BigInt(mine.at(-1)!), batchId }] : ranges;
        break;
      case "retry":
        settlement.retries = ranges.map((range) => ({ range, delay: { seconds: 0n, nanos: delayMs * 1_000_000 }, reason: "not in the mood" }));
        break;
      case "reject":
        settlement.rejects = ranges.map((range) => ({ range, reason: "cannot stand it" }));
        break;
      case "release":
        settlement.releases = ranges;
        break;
    }
    this.ask(verdict, mine, settlement);
  }

  /** Acks everything up to a batch, or only these of it while something before that hangs. */
  private ackThrough(batchId: bigint, offsets: readonly number[]): void {
    const mine = [...this.held].filter(([, batch]) => batch <= batchId).map(([offset]) => offset);
    if (mine.some(isHard)) this.settle("ack", offsets, batchId);
    else if (mine.length > 0) this.ask("ack", mine, { ...Settlement.create(), ackThroughBatchId: batchId });
  }

  private ask(verdict: Verdict, offsets: readonly number[], settlement: Settlement): void {
    const requestId = ++this.lastRequestId;
    this.asked.set(requestId, new Map(offsets.map((offset) => [offset, this.held.get(offset) ?? 0n])));
    for (const offset of offsets) this.held.delete(offset);
    this.options.recording.add({ type: "settle_sent", session: this.name, requestId: Number(requestId), verdict, offsets });
    this.call.write(SubscribeRequest.create({ requestId, frame: { $case: "settle", value: settlement } }));
  }

  private takeResult(result: SettleResult): void {
    for (const requestId of result.requestIds) {
      const asked = this.asked.get(requestId) ?? new Map<number, bigint>();
      this.asked.delete(requestId);
      const failures = result.failures.filter((failure) => failure.requestId === requestId);
      // An ack through a batch also fails for what an earlier batch had lost, though the message has come again since.
      const failed = [...asked].filter(([offset, batchId]) => failures.some(({ range }) => range !== undefined && names(range, offset, batchId))).map(([offset]) => offset);
      this.options.recording.add({ type: "settle_confirmed", session: this.name, requestId: Number(requestId), failed });
    }
    this.options.recording.add({ type: "committed_seen", session: this.name, committedOffset: Number(result.committedOffset) });
  }
}

function names({ first, last, batchId }: DeliveryRange, offset: number, ofBatch: bigint): boolean {
  return (batchId === 0n || batchId === ofBatch) && BigInt(offset) >= first && BigInt(offset) <= (last === 0n ? first : last);
}

function isHard(offset: number): boolean {
  return offset % HARD_EVERY === 0;
}

/** Without a hole, so that one range says it all. */
function isRun(offsets: readonly number[]): boolean {
  return offsets.every((offset, i) => i === 0 || offset === offsets[i - 1]! + 1);
}
