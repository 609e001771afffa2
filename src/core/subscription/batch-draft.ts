import type { BatchFacts } from "../session.js";
import { messageBytes, type Chunk } from "../chunk.js";
import type { MonotonicMs, Offset } from "../units.js";
import { DeliveryBatch } from "./delivery-batch.js";
import type { DeliveryPart, Effect } from "./effects.js";
import type { SessionState } from "./session-state.js";
import type { Trouble } from "./trouble.js";

/** A batch being filled: it takes messages in offset order until one of its bounds is met. */
export class BatchDraft {
  private readonly parts: { chunk: Chunk; firstIndex: number; count: number }[] = [];
  private readonly runs: number[] = [];
  private readonly sizes: number[] = [];
  bytes = 0;

  /**
   * @param messagesMax at least 1
   * @param bytesMax a batch of several messages stays within it
   * @param roomBytes window left: the message that crosses it is the last
   */
  constructor(
    private readonly messagesMax: number,
    private readonly bytesMax: number,
    private readonly roomBytes: number,
  ) {}

  get count(): number {
    return this.sizes.length;
  }

  /** Takes one message; false when it has to wait for another batch. The first one always fits. */
  take(chunk: Chunk, index: number): boolean {
    const size = messageBytes(chunk, index);
    if (this.count > 0) {
      if (this.count >= this.messagesMax || this.bytes + size > this.bytesMax || this.bytes >= this.roomBytes) return false;
    }
    const { runs, parts } = this;
    const offset = chunk.first + index;
    if (runs[runs.length - 1] === offset - 1) runs[runs.length - 1] = offset;
    else runs.push(offset, offset);
    const part = parts[parts.length - 1];
    if (part?.chunk === chunk && part.firstIndex + part.count === index) part.count++;
    else parts.push({ chunk, firstIndex: index, count: 1 });
    this.sizes.push(size);
    this.bytes += size;
    return true;
  }

  get deliveryParts(): readonly DeliveryPart[] {
    return this.parts;
  }

  /** Shows each run of offsets. */
  eachRun(visit: (first: Offset, last: Offset) => void): void {
    for (let i = 0; i < this.runs.length; i += 2) visit(this.runs[i] as Offset, this.runs[i + 1] as Offset);
  }

  finish(facts: BatchFacts, now: MonotonicMs, alone: boolean): DeliveryBatch {
    const deadline = facts.leaseMs === 0 ? Infinity : now + facts.leaseMs;
    return new DeliveryBatch(facts, this.runs, Uint32Array.from(this.sizes), this.count, this.bytes, now, deadline, alone, this.expireTimes());
  }

  /** By message; undefined when no chunk has any. */
  private expireTimes(): Float64Array | undefined {
    if (!this.parts.some(({ chunk }) => chunk.expireTimeMs !== undefined)) return undefined;
    return Float64Array.from(this.parts.flatMap(({ chunk, firstIndex, count }) => Array.from({ length: count }, (_, i) => chunk.expireTimeMs?.[firstIndex + i] ?? 0)));
  }
}

/** Hands a draft to a session as its next batch. */
export function sendBatch(session: SessionState, draft: BatchDraft, trouble: Trouble, alone: boolean, now: MonotonicMs, effects: Effect[]): DeliveryBatch {
  const facts: BatchFacts = {
    batchId: session.nextBatchId,
    attempt: trouble.attempt,
    deliveryCount: trouble.deliveryCount,
    cause: trouble.cause,
    lastReason: trouble.lastReason,
    leaseMs: session.isAuto ? 0 : session.settings.ackTimeoutMs,
  };
  const batch = draft.finish(facts, now, alone);
  session.handOut(batch);
  effects.push({ type: "deliver", session: session.id, batch: facts, parts: draft.deliveryParts, messages: draft.count, bytes: draft.bytes });
  return batch;
}
