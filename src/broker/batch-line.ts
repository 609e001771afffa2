import { LIMITS } from "../core/limits.js";
import type { Offset, WallMs } from "../core/units.js";
import { OpenBatch } from "./open-batch.js";

/**
 * What waits for the disk of one queue: batches in the order of their offsets, an append each. The last one is open. However
 * much waits, an append holds LIMITS.appendBytesMax or a single frame, so that other queues get their turn behind it.
 */
export class BatchLine {
  private full: OpenBatch[] = [];
  private fullBytes = 0;
  private open: OpenBatch;

  /**
   * @param first the offset of the next message
   * @param time the publish time of a batch that begins now; never goes back
   */
  constructor(
    first: Offset,
    private readonly time: () => WallMs,
  ) {
    this.open = new OpenBatch(first, time());
  }

  /** Memory that it stands for, in bytes. */
  get bytes(): number {
    return this.fullBytes + this.open.bytes;
  }

  get isEmpty(): boolean {
    return this.full.length === 0 && this.open.frames.length === 0;
  }

  /** Whether there is nothing to store in the next batch. */
  get onlyAnswers(): boolean {
    return (this.full[0] ?? this.open).onlyAnswers;
  }

  /** All of them, the next one first. */
  batches(): readonly OpenBatch[] {
    return [...this.full, this.open];
  }

  /** The batch that takes a frame charged with so many bytes. */
  batchFor(bytes: number): OpenBatch {
    const { open } = this;
    if (open.frames.length === 0) {
      this.open = new OpenBatch(open.next, this.time());
    } else if (open.bytes + bytes > LIMITS.appendBytesMax) {
      this.full.push(open);
      this.fullBytes += open.bytes;
      this.open = new OpenBatch(open.next, this.time());
    }
    return this.open;
  }

  /** Takes out the next batch to append; undefined: nothing waits. */
  shift(): OpenBatch | undefined {
    const next = this.full.shift();
    if (next !== undefined) {
      this.fullBytes -= next.bytes;
      return next;
    }
    const { open } = this;
    if (open.frames.length === 0) return undefined;
    this.open = new OpenBatch(open.next, this.time());
    return open;
  }

  /** Lets go of everything and goes on at an offset, by default the one after all that was taken in. */
  restart(first: Offset = this.open.next): void {
    this.full = [];
    this.fullBytes = 0;
    this.open = new OpenBatch(first, this.time());
  }
}
