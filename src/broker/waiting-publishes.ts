import { LIMITS } from "../core/limits.js";
import type { BrokerError } from "../core/errors.js";
import type { Turns } from "../ports/turns.js";
import type { PublishFrame, PublishOutcome } from "./api.js";
import { frameCharge } from "./frame-size.js";
import { backlogError } from "./publisher.js";
import type { Queue } from "./queue.js";

/** What was published to a queue that is still being opened: kept in order, within the bounds of an open batch. */
export class WaitingPublishes {
  private readonly frames: { readonly frame: PublishFrame; readonly done: (outcome: PublishOutcome) => void }[] = [];
  private readonly writers: (() => void)[] = [];
  private bytes = 0;

  constructor(private readonly turns: Turns) {}

  /** See BrokerApi.publish. */
  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean {
    if (this.bytes >= 2 * LIMITS.openBatchBytesMax) {
      this.turns.next(() => {
        done({ ok: false, error: backlogError(frame.queue) });
      });
      return false;
    }
    this.frames.push({ frame, done });
    this.bytes += frameCharge(frame);
    return this.bytes < LIMITS.openBatchBytesMax;
  }

  /** See BrokerApi.whenWritable. */
  whenWritable(f: () => void): void {
    if (this.bytes < LIMITS.openBatchBytesMax) this.turns.next(f);
    else this.writers.push(f);
  }

  /** The queue is open. Nothing may be published to it directly before this has returned. */
  handTo(queue: Queue): void {
    for (const { frame, done } of this.frames) queue.publish(frame, done);
    for (const f of this.writers) queue.whenWritable(f);
  }

  /** The queue cannot be opened. */
  refuse(error: BrokerError): void {
    for (const { done } of this.frames) done({ ok: false, error });
    for (const f of this.writers) this.turns.next(f);
  }
}
