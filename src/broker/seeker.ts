import { offset } from "../core/units.js";
import type { OffsetRun } from "../core/session.js";
import { countMove } from "./seek-count.js";
import type { Move } from "./seek-count.js";
import type { SeekOutcome, SeekRequest } from "./seek-api.js";
import { destination, findTarget, positionText } from "./seek-target.js";
import type { SubscribersParts } from "./subscribers-parts.js";
import { movedError } from "./subscription-errors.js";
import type { SubscriptionDriver } from "./subscription-driver.js";
import type { TrimFloors } from "./trim-floors.js";

/** What the seeker needs of its queue. */
export type SeekerParts = Pick<SubscribersParts, "queue" | "log" | "clock" | "turns" | "journal" | "trimIdle" | "cursorSaved">;

/** Does something with a subscriber while nobody else makes, changes or deletes it. SUBSCRIBER_NOT_FOUND. */
export type WithSubscriber = <T>(name: string, work: (driver: SubscriptionDriver) => Promise<T>) => Promise<T>;

/**
 * Moves subscribers. From the look at what the log has until the move is durable nothing is trimmed; what was moved over is
 * counted afterwards, against what the subscription knew in the moment of the move.
 */
export class Seeker {
  constructor(
    private readonly parts: SeekerParts,
    private readonly floors: TrimFloors,
    private readonly withSubscriber: WithSubscriber,
  ) {}

  /** See SeekApi. */
  async seek(request: SeekRequest): Promise<SeekOutcome> {
    const { queue, log, clock, turns } = this.parts;
    const target = await findTarget(request.target, queue, log);
    const release = this.floors.hold(offset(0));
    try {
      const move = await this.withSubscriber(request.subscriber, async (driver) => {
        await this.parts.trimIdle();
        // From here to the move in one turn: the log and the subscription stay as they are.
        if (driver.isOver) throw movedError(driver.name);
        const { first } = log.head();
        const found: Move = { subscriber: driver.name, before: driver.standing(), filter: driver.filters.current, to: destination(target, queue, log.head()), first, nowMs: clock.wall() };
        if (!request.dryRun) await this.move(driver, found);
        return found;
      });
      const { before, to } = move;
      const { repeatedCount, skippedCount, settledBefore } = await countMove(move, log, turns);
      return {
        previous: { committedOffset: before.floor, settled: settledBefore },
        position: { committedOffset: to.after, settled: to.settled.runs() },
        repeatedCount,
        skippedCount,
      };
    } finally {
      release();
      // What nobody needs any more could not be trimmed meanwhile.
      this.parts.cursorSaved();
    }
  }

  private async move(driver: SubscriptionDriver, { before, to }: Move): Promise<void> {
    const { queue, journal } = this.parts;
    const settled: readonly OffsetRun[] = to.settled.runs();
    await driver.move(to.after, settled, `an operator moved the subscriber from offset ${before.floor} to ${positionText(to)}`);
    journal.info("a subscriber was moved", { queue, subscriber: driver.name, from: before.floor, to: to.after, settledBeyond: to.settled.size });
  }
}
