import type { Chunk } from "../core/chunk.js";
import type { Subscription } from "../core/subscription/subscription.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import { BacklogCounter } from "./backlog-counter.js";
import type { DriverParts } from "./driver-parts.js";

/** How much is left for one subscription: what it looked at and has not in hand, and what lies ahead, as far as counted. */
export class SubscriptionBacklog {
  private counter: BacklogCounter;

  constructor(
    private readonly name: string,
    private readonly machine: Subscription,
    private readonly parts: Pick<DriverParts, "log" | "tail" | "turns" | "journal">,
    /** Messages dropped before the machine was made. */
    private readonly droppedBefore: number,
  ) {
    this.counter = this.newCounter();
  }

  /** Matching messages that are neither settled nor in flight, as far as counted. */
  count(): number {
    const { unsettled, inFlight, next } = this.machine.counts();
    return unsettled - inFlight + this.counter.ahead(next);
  }

  /** Matching messages that come before one that was not looked at yet, as far as that is known without reading. */
  before(at: Offset): number | undefined {
    const { unsettled, inFlight, next } = this.machine.counts();
    const between = this.counter.within(next, offset(at - 1));
    return between === undefined ? undefined : unsettled - inFlight + between;
  }

  /** The same as `count`, after counting to the head of now. */
  async counted(): Promise<number> {
    await this.counter.counted(this.machine.counts().next);
    return this.count();
  }

  /** Matching messages that were not looked at yet, through an offset, as far as that is known without reading. */
  aheadThrough(through: Offset): number | undefined {
    return this.counter.within(this.machine.counts().next, through);
  }

  /** The same by chunk headers, which stay until every cursor is behind them. Undefined when they cannot be read. */
  countedThrough(through: Offset): Promise<number | undefined> {
    return this.counter.read(this.machine.counts().next, through);
  }

  /** Messages that were purged or dropped by retention before they were settled or in flight, ever. */
  get droppedCount(): number {
    return this.droppedBefore + this.machine.counts().dropped;
  }

  /** The subscription is handed these chunks. */
  saw(chunks: readonly Chunk[]): void {
    this.counter.saw(chunks, this.machine.counts().next);
  }

  /** The filter is another one, or the subscription is elsewhere: everything is counted anew. */
  restart(): void {
    this.counter = this.newCounter();
  }

  private newCounter(): BacklogCounter {
    const { log, tail, turns, journal } = this.parts;
    return new BacklogCounter(this.name, this.machine.filters.current, log, tail, turns, journal, this.machine.counts().next);
  }
}
