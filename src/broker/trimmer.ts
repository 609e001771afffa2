import type { Chunk } from "../core/chunk.js";
import type { EventFilter } from "../core/event-filter.js";
import { isAddressed } from "../core/subscription/loaded-chunks.js";
import { monotonicMs, offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import type { Head, Log } from "../ports/log.js";
import type { QueueTally } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import { nextTurn } from "./log-headers.js";
import type { Alarm, Scheduler } from "./scheduler.js";
import type { SubscriptionDriver } from "./subscription-driver.js";

/** How long after a change a pass starts; what comes meanwhile shares it. */
const PASS_AFTER_MS = 1_000;
/** When headers wait only for their dedup window, another look is taken after this. */
const WINDOW_LOOK_MS = 10_000;
/** Headers that a sleeping subscriber is shown at once. */
const HEADERS_AT_ONCE = 256;
const NOTHING = offset(0);

/** What the trimmer asks of its queue. */
export interface TrimScope {
  /** Everything up to it is settled by every named subscriber, durably; while there is none, it is purged. */
  settledThrough(): Offset;
  /** Everything up to it was purged: hidden, so that nobody can begin there. 0: nothing. */
  purgedThrough(): Offset;
  /** The named subscribers without a session, which cannot move on by themselves. */
  sleepers(): readonly SubscriptionDriver[];
  /** The oldest message whose header dedup still needs. */
  dedupNeedsFrom(): Offset;
}

/**
 * Lets go of what every named subscriber has settled. Runs a while after something changed, in slices, beside everything
 * else. Before each pass sleepers are led over what their filters pass, so that a subscriber that takes nothing of what lies
 * in the log does not hold it.
 */
export class Trimmer {
  private readonly alarm: Alarm;
  /** The trim under way of what is not hidden by a purge. */
  private taking: Promise<void> | undefined;
  private passing = false;
  private changed = false;
  private stopped = false;
  private bodiesThrough = NOTHING;
  private headersThrough = NOTHING;
  /** Where a sleeper stands before a message that it takes: it is not led again until it has moved, or takes something else. */
  private readonly stands = new WeakMap<SubscriptionDriver, { readonly next: Offset; readonly filter: EventFilter }>();

  constructor(
    private readonly scope: TrimScope,
    private readonly log: Log,
    private readonly clock: Clock,
    scheduler: Scheduler,
    private readonly turns: Turns,
    private readonly journal: Journal,
    private readonly tally: QueueTally,
  ) {
    this.alarm = scheduler.alarm(() => {
      this.start();
    });
  }

  /** Messages came, were settled, or a subscriber came or went. */
  somethingChanged(): void {
    this.changed = true;
    this.wakeIn(PASS_AFTER_MS);
  }

  /**
   * Resolves when nothing is being taken that is to be seen: the oldest message then stays until the event loop's next turn.
   * What was purged may still be going, which can take long.
   */
  async idle(): Promise<void> {
    while (this.taking !== undefined) await this.taking;
  }

  stop(): void {
    this.stopped = true;
    this.alarm.clear();
  }

  private wakeIn(ms: number): void {
    if (this.stopped || this.passing || this.alarm.isSet) return;
    this.alarm.set(monotonicMs(this.clock.monotonic() + ms));
  }

  private start(): void {
    if (this.passing || this.stopped) return;
    this.passing = true;
    this.changed = false;
    this.run().then(
      () => {
        this.passing = false;
        if (this.changed) this.wakeIn(PASS_AFTER_MS);
        else if (this.headersThrough < this.bodiesThrough) this.wakeIn(WINDOW_LOOK_MS);
      },
      (error: unknown) => {
        this.passing = false;
        if (!this.stopped) this.journal.error("trimming failed; what is settled stays in the log until the next pass", { error });
        this.wakeIn(WINDOW_LOOK_MS);
      },
    );
  }

  private async run(): Promise<void> {
    await this.leadSleepers();
    await this.trim(offset(Math.min(this.scope.purgedThrough(), this.scope.settledThrough())));
    const done = (): void => {
      this.taking = undefined;
    };
    const visible = this.trim(this.scope.settledThrough());
    this.taking = visible.then(done, done);
    await visible;
  }

  private async trim(through: Offset): Promise<void> {
    if (this.stopped) return;
    const bodiesThrough = offset(Math.max(this.bodiesThrough, through));
    const headersThrough = offset(Math.max(this.headersThrough, Math.min(bodiesThrough, this.scope.dedupNeedsFrom() - 1)));
    if (bodiesThrough === this.bodiesThrough && headersThrough === this.headersThrough) return;
    const before = goneOf(this.log.head());
    const gone = goneOf(await this.log.trim(bodiesThrough, headersThrough));
    this.tally.trimmedMessages += gone.messages - before.messages;
    this.tally.trimmedBytes += gone.bytes - before.bytes;
    this.bodiesThrough = bodiesThrough;
    this.headersThrough = headersThrough;
  }

  /** Slice by slice of the log, so that all who stand in one share what is read. */
  private async leadSleepers(): Promise<void> {
    let behind = this.scope.sleepers().filter((sleeper) => {
      const { next, unsettled } = sleeper.counts();
      const stood = this.stands.get(sleeper);
      return unsettled === 0 && next < this.log.head().next && (stood?.next !== next || stood.filter !== sleeper.filters.current);
    });
    while (behind.length > 0 && !this.stopped) {
      const from = behind.reduce((lowest, sleeper) => Math.min(lowest, sleeper.counts().next), Infinity);
      const headers = await this.log.headers(offset(from), HEADERS_AT_ONCE);
      const through = headers[headers.length - 1]?.last;
      if (through === undefined) return;
      behind = behind.filter((sleeper) => !sleeper.isOver && sleeper.sessionCount === 0);
      behind = behind.filter((sleeper) => sleeper.counts().next > through || this.lead(sleeper, headers));
      await nextTurn(this.turns);
    }
  }

  /** Shows headers to a sleeper that stands among them; false when there is no more for it to pass. */
  private lead(sleeper: SubscriptionDriver, headers: readonly Chunk[]): boolean {
    const { next } = sleeper.counts();
    const ahead = headers.filter((header) => header.last >= next);
    sleeper.leadOver(passable(ahead, sleeper));
    const now = sleeper.counts().next;
    // What expires while it stands there holds it no longer.
    if (now === next && ahead[0]?.expireTimeMs === undefined) this.stands.set(sleeper, { next, filter: sleeper.filters.current });
    return now > next && now < this.log.head().next;
  }
}

/** What a log has let go of so far. */
function goneOf({ cumulativeMessages, cumulativeBytes, messages, bytes }: Head): { readonly messages: number; readonly bytes: number } {
  return { messages: cumulativeMessages - messages, bytes: cumulativeBytes - bytes };
}

/**
 * Headers as a sleeper needs to see them: when it takes nothing of all of them, one that spans them, so that a thousand
 * sleepers cost a step each and not one for every chunk.
 */
function passable(headers: readonly Chunk[], sleeper: SubscriptionDriver): readonly Chunk[] {
  const [oldest] = headers;
  const newest = headers[headers.length - 1];
  if (oldest === undefined || newest === undefined) return headers;
  if (headers.some((header) => header.events.some((event) => sleeper.filters.current.matches(event)) || isAddressed(header, sleeper.name))) return headers;
  return [{ ...newest, first: oldest.first, count: newest.last - oldest.first + 1, firstTimeMs: oldest.firstTimeMs, events: [], addressee: undefined, body: undefined }];
}
