import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import { LogConflict } from "../ports/log.js";
import type { ChunkRecord, Head, Log } from "../ports/log.js";
import type { QueueTally } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import type { PublishFrame, PublishOutcome } from "./api.js";
import { BatchLine } from "./batch-line.js";
import type { DedupIndex } from "./dedup-index.js";
import type { EventMatches } from "./event-matches.js";
import { FrameJudge } from "./frame-judge.js";
import { frameCharge } from "./frame-size.js";
import { readHeaders } from "./log-headers.js";
import type { JudgedFrame, OpenBatch } from "./open-batch.js";
import type { QueueRoom } from "./queue-room.js";
import type { ScheduleBook } from "./schedule-book.js";

/** When a refused publisher may try again. */
const BACKLOG_RETRY_MS = 100;
const DISK_FULL_RETRY_MS = 5_000;

/** What a publisher works with. */
export interface PublisherParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly journal: Journal;
  readonly dedup: DedupIndex;
  readonly matches: EventMatches;
  readonly schedules: ScheduleBook;
  readonly room: QueueRoom;
  readonly tally: QueueTally;
  readonly hasRoom: () => boolean;
  /** Hears of every append once it is durable and its publishers were answered. */
  readonly appended: (chunks: readonly ChunkRecord[]) => void;
}

/** A frame that came while the log is being read after a conflict. */
type Unjudged = Omit<JudgedFrame, "outcome">;

/**
 * Appends what is published to one queue. One append is in flight; meanwhile the next batches fill (group commit without a
 * timer). Answers come in the order of the calls, each after everything that it cites is durable, the frame itself or the
 * earlier message that it names.
 */
export class Publisher {
  private readonly judge: FrameJudge;
  private readonly line: BatchLine;
  private inFlight: OpenBatch | undefined;
  private kicked = false;
  /** Set while the log is read after a conflict: frames wait unjudged. */
  private unjudged: Unjudged[] | undefined;
  private unjudgedBytes = 0;
  private closedBy: BrokerError | undefined;
  private writers: (() => void)[] = [];
  private flushed: (() => void)[] = [];

  /** @param lastTimeMs publish time of the newest message ever stored; publish times never go back behind it */
  constructor(
    private readonly parts: PublisherParts,
    private lastTimeMs: WallMs,
  ) {
    this.judge = new FrameJudge(parts.dedup, parts.matches, parts.schedules, parts.room);
    this.line = new BatchLine(parts.log.head().next, () => this.newTime());
  }

  /** See BrokerApi.publish. */
  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean {
    const refusal = this.refusal(frame);
    if (refusal !== undefined) {
      this.parts.turns.next(() => {
        done({ ok: false, error: refusal });
      });
      return this.mayGoOn();
    }
    if (this.unjudged !== undefined) {
      this.unjudged.push({ frame, done });
      this.unjudgedBytes += frameCharge(frame);
    } else {
      this.take({ frame, done });
      this.kick();
    }
    return this.mayGoOn();
  }

  /** See BrokerApi.whenWritable. */
  whenWritable(f: () => void): void {
    if (this.isWritable) this.parts.turns.next(f);
    else this.writers.push(f);
  }

  /** Resolves when everything published so far was answered. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isIdle) resolve();
      else this.flushed.push(resolve);
    });
  }

  /** The queue is gone: everything unanswered and everything to come gets this error. */
  close(error: BrokerError): void {
    const inFlight = this.inFlight?.frames ?? [];
    this.abandon(error);
    for (const { done } of inFlight) done({ ok: false, error });
  }

  /** The broker ends: what was never submitted and what is to come gets this error. What is in flight is left unanswered, since nobody knows whether it is stored. */
  abandon(error: BrokerError): void {
    if (this.closedBy !== undefined) return;
    this.closedBy = error;
    const waiting = [...framesOf(this.line.batches()), ...(this.unjudged ?? [])];
    this.inFlight = undefined;
    this.unjudged = undefined;
    this.line.restart();
    for (const { done } of waiting) done({ ok: false, error });
    this.wakeWriters();
    this.tellFlushed();
  }

  private get isIdle(): boolean {
    return this.inFlight === undefined && this.unjudged === undefined && this.line.isEmpty;
  }

  private get isWritable(): boolean {
    return this.waitingBytes < LIMITS.openBatchBytesMax;
  }

  /** Memory that stands for what waits for the disk, in bytes. */
  get waitingBytes(): number {
    return this.line.bytes + this.unjudgedBytes;
  }

  /** Bytes of the messages that were taken and are not in the log yet, as they will be stored. */
  get bodyBytes(): number {
    return this.line.batches().reduce((sum, batch) => sum + batch.bodyBytes, this.inFlight?.bodyBytes ?? 0);
  }

  private mayGoOn(): boolean {
    const { isWritable } = this;
    if (!isWritable) this.parts.tally.stalls++;
    return isWritable;
  }

  private refusal({ queue }: PublishFrame): BrokerError | undefined {
    if (this.closedBy !== undefined) return this.closedBy;
    if (this.waitingBytes >= 2 * LIMITS.openBatchBytesMax) return backlogError(queue);
    if (!this.parts.hasRoom()) {
      return new BrokerError("DISK_FULL", "the server is short of disk space and stores nothing new; acks go on. It heals when space is freed", {}, DISK_FULL_RETRY_MS);
    }
    return undefined;
  }

  private take({ frame, done }: Unjudged): void {
    const bytes = frameCharge(frame);
    const batch = this.line.batchFor(bytes);
    const outcome = this.judge.judge(frame, batch);
    batch.answerLater({ frame, done, outcome }, bytes);
  }

  private newTime(): WallMs {
    this.lastTimeMs = wallMs(Math.max(this.lastTimeMs, this.parts.clock.wall()));
    return this.lastTimeMs;
  }

  /** Submits in a later turn, so that what this one brings shares an append. */
  private kick(): void {
    if (this.kicked || this.inFlight !== undefined) return;
    this.kicked = true;
    this.parts.turns.next(() => {
      this.kicked = false;
      if (this.inFlight === undefined && this.unjudged === undefined) this.submit();
    });
  }

  private submit(): void {
    const batch = this.line.shift();
    if (batch === undefined) return;
    this.parts.dedup.expire(batch.publishTimeMs);
    if (batch.onlyAnswers) {
      this.answer(batch);
      if (!this.line.isEmpty) this.kick();
      this.wakeWriters();
      this.tellFlushed();
      return;
    }
    this.inFlight = batch;
    this.wakeWriters();
    const chunks = batch.count === 0 ? [] : batch.seal(this.parts.log.head());
    this.store(batch, chunks).then(
      () => {
        this.stored(batch, chunks);
      },
      (error: unknown) => {
        this.failed(batch, error);
      },
    );
  }

  /** What is put off is stored only when the rest is, since a conflict means that everything is judged again. */
  private store(batch: OpenBatch, chunks: readonly ChunkRecord[]): Promise<unknown> {
    const { log, schedules } = this.parts;
    const appended = chunks.length === 0 ? Promise.resolve() : log.append(chunks, batch.first);
    return batch.scheduled.length === 0 ? appended : appended.then(() => schedules.keep(batch.scheduled));
  }

  private stored(batch: OpenBatch, chunks: readonly ChunkRecord[]): void {
    if (this.closedBy !== undefined) return;
    this.inFlight = undefined;
    // A batch that only answers must not overtake this one's answers.
    if (!this.line.onlyAnswers) this.submit();
    const { tally } = this.parts;
    for (const { chunk } of chunks) {
      tally.publishedMessages += chunk.count;
      tally.publishedBytes += chunk.body.length;
    }
    this.answer(batch);
    this.parts.appended(chunks);
    if (!this.line.isEmpty) this.kick();
    this.tellFlushed();
  }

  private failed(batch: OpenBatch, error: unknown): void {
    if (this.closedBy !== undefined) return;
    this.inFlight = undefined;
    const behind = this.line.batches();
    const again = framesOf(behind);
    this.parts.dedup.forgetFrom(batch.first);
    this.parts.schedules.forget([batch, ...behind].flatMap(({ scheduled }) => scheduled));
    if (error instanceof LogConflict) {
      this.parts.journal.warn("another writer appended to the log; what was pending is judged again", { expected: batch.first, next: error.head.next });
      this.unjudged = [...batch.frames, ...again];
      void this.catchUp(batch.first, error.head);
      return;
    }
    this.parts.journal.error("an append failed without a reason that the broker knows", { error });
    this.unjudged = again;
    const refused = new BrokerError("INTERNAL", "the server could not store the message; whether it is stored is unknown");
    for (const { done } of batch.frames) done({ ok: false, error: refused });
    void this.catchUp(batch.first, this.parts.log.head());
  }

  /** Learns the ids of what is in the log now, then judges again what waits, in the old order. */
  private async catchUp(from: OpenBatch["first"], head: Head): Promise<void> {
    this.unjudgedBytes = (this.unjudged ?? []).reduce((sum, { frame }) => sum + frameCharge(frame), 0);
    this.line.restart(head.next);
    try {
      for await (const chunk of readHeaders(this.parts.log, from, head.next, this.parts.turns)) {
        this.lastTimeMs = wallMs(Math.max(this.lastTimeMs, chunk.lastTimeMs));
        this.parts.dedup.learn(chunk);
      }
    } catch (error) {
      if (this.closedBy !== undefined) return;
      this.parts.journal.error("the log could not be read after a conflict; duplicates among its newest messages may pass", { error });
    }
    const waiting = this.unjudged ?? [];
    this.unjudged = undefined;
    this.unjudgedBytes = 0;
    for (const entry of waiting) this.take(entry);
    this.parts.appended([]);
    this.submit();
  }

  private answer(batch: OpenBatch): void {
    for (const judged of batch.frames) {
      this.parts.tally.duplicates += duplicatesIn(judged);
      judged.done(judged.outcome);
    }
  }

  private tellFlushed(): void {
    if (this.flushed.length === 0 || !this.isIdle) return;
    const { flushed } = this;
    this.flushed = [];
    for (const resolve of flushed) resolve();
  }

  private wakeWriters(): void {
    if (!this.isWritable || this.writers.length === 0) return;
    const { writers } = this;
    this.writers = [];
    for (const writer of writers) this.parts.turns.next(writer);
  }
}

/** The error of a publish that finds too much waiting before it. */
export function backlogError(queue: string): BrokerError {
  return new BrokerError(
    "PUBLISH_BACKLOG",
    `queue ${queue} has more waiting to be stored than the server keeps (${2 * LIMITS.openBatchBytesMax} bytes): publish more slowly`,
    { queue, limit: String(2 * LIMITS.openBatchBytesMax) },
    BACKLOG_RETRY_MS,
  );
}

/** In the order of their calls. */
function framesOf(batches: readonly OpenBatch[]): JudgedFrame[] {
  return batches.flatMap(({ frames }) => frames);
}

function duplicatesIn({ frame, outcome }: JudgedFrame): number {
  if (!outcome.ok) return 0;
  if (!frame.independent) return outcome.duplicate ? frame.messages.length : 0;
  return outcome.outcomes.reduce((sum, { duplicate }) => sum + (duplicate ? 1 : 0), 0);
}
