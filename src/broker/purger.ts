import { BrokerError } from "../core/errors.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { State } from "../ports/state.js";
import type { PurgeOutcome } from "./api.js";
import { writePurgeMark } from "./purge-record.js";
import type { QueueLog } from "./queue-log.js";
import { SerialByName } from "./serial-by-name.js";
import type { Subscribers } from "./subscribers.js";
import type { Trimmer } from "./trimmer.js";

/** What was dropped. */
export interface Gone {
  readonly messages: number;
  readonly bytes: number;
}

const NOTHING_GONE: Gone = { messages: 0, bytes: 0 };

/**
 * Drops what a queue has up to an offset: because an operator purges it, or since it is beyond a bound of its retention. In this order: the record of it is durable; the log hides it; every subscription lets
 * go of it. That is what a purge waits for. The cursors that passed over it are stored and its chunks trimmed afterwards; a
 * crash before that leaves the record, which whoever loads the queue applies again.
 */
export class Purger {
  private readonly serial = new SerialByName();

  /** @param closedBy why nothing may be purged any more: the queue was deleted, or the broker ends */
  constructor(
    private readonly queue: string,
    private readonly log: QueueLog,
    private readonly state: State,
    private readonly subscribers: Subscribers,
    private readonly trimmer: Trimmer,
    private readonly closedBy: () => BrokerError | undefined,
  ) {}

  /** @param through the last offset to drop; 0: the head of the moment in which the purges before this one are done */
  purge(through: Offset, dryRun: boolean): Promise<PurgeOutcome> {
    return this.serial.run("purge", () => this.purgeNext(through, dryRun));
  }

  /** Drops what retention keeps no longer. What is gone already counts for nothing. */
  expire(through: Offset): Promise<Gone> {
    return this.serial.run("purge", async () => {
      this.checkOpen();
      return through < this.log.head().first ? NOTHING_GONE : this.dropThrough(through, false);
    });
  }

  private async purgeNext(asked: Offset, dryRun: boolean): Promise<PurgeOutcome> {
    const { log } = this;
    this.checkOpen();
    const through = this.checked(asked);
    const nothing = { purgedCount: 0, purgedBytes: 0, throughOffset: through };
    if (through < log.head().first) return nothing;
    const { messages, bytes } = dryRun ? log.within(await log.markAt(through, true)) : await this.dropThrough(through, true);
    return { purgedCount: messages, purgedBytes: bytes, throughOffset: through };
  }

  private async dropThrough(through: Offset, byOperator: boolean): Promise<Gone> {
    const { log } = this;
    const mark = await log.markAt(through, byOperator);
    this.checkOpen();
    await writePurgeMark(this.state, mark);
    this.checkOpen();
    const gone = log.within(mark);
    log.hide(mark);
    await this.subscribers.passPurged();
    this.trimmer.somethingChanged();
    return gone;
  }

  private checkOpen(): void {
    const error = this.closedBy();
    if (error !== undefined) throw error;
  }

  private checked(asked: Offset): Offset {
    const { queue, log } = this;
    const { first, next } = log.head();
    if (asked < next) return asked === 0 ? offset(next - 1) : asked;
    throw new BrokerError("BEYOND_HEAD", `through_offset is ${asked}, and the last message of queue ${queue} has offset ${next - 1}: name one up to that, or 0 for all`, {
      field: "through_offset",
      value: String(asked),
      limit: next > first ? `${first} to ${next - 1}` : `0 to ${next - 1}`,
    });
  }
}
