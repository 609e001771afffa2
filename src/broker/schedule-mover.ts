import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { decodeMessage } from "../core/message-codec.js";
import type { NewMessage } from "../core/message.js";
import type { Schedule } from "../core/schedule.js";
import { monotonicMs, offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import { MessageFormatError } from "../core/wire-format.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import type { Log } from "../ports/log.js";
import type { Put, State } from "../ports/state.js";
import type { QueueTally } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import type { PublishFrame, PublishOutcome } from "./api.js";
import { RecordCorrupt } from "./json-record.js";
import { nextTurn } from "./log-headers.js";
import type { ScheduleBook } from "./schedule-book.js";
import { allFacts, listFacts, listReadable, numbersInLog } from "./schedule-facts.js";
import type { KnownScheduled } from "./schedule-facts.js";
import { decodeScheduled, dueFromPut, readDueFrom, scheduledDeletions } from "./schedule-record.js";
import type { Alarm, Scheduler } from "./scheduler.js";
import type { SerialByName } from "./serial-by-name.js";
import { scheduledKey, scheduleId, SCHEDULED_PREFIX } from "./state-keys.js";
import type { SchedulePlace } from "./state-keys.js";

/** After a failure without a reason that says when to try again. */
const TRY_AGAIN_MS = 1_000;
const NOWHERE = offset(0);

/** What a mover works with. */
export interface ScheduleMoverParts {
  readonly queue: string;
  readonly log: Log;
  readonly state: State;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly turns: Turns;
  readonly journal: Journal;
  readonly tally: QueueTally;
  readonly book: ScheduleBook;
  readonly schedule: Schedule;
  /** Under one name for whatever takes scheduled messages away, so that each goes one way only. */
  readonly serial: SerialByName;
  readonly publish: (frame: PublishFrame, done: (outcome: PublishOutcome) => void) => unknown;
}

/** The name under which slices, and whatever else takes messages away, come one after the other. */
export const TAKING = "taking";

/** A message that is due, and its record. */
interface Due extends KnownScheduled {
  readonly message: NewMessage;
}

/**
 * Appends what is due to the log, in the order in which it is due, slice by slice, in three steps: a record says from where on
 * the messages will be; they are appended, all of a slice or none, each with its number; one commit removes their records. After
 * a crash the numbers in the log say which records have to go. So nothing that is due is lost, and nothing comes twice.
 */
export class ScheduleMover {
  private readonly alarm: Alarm;
  private from = NOWHERE;
  /** It is not known whether what was published last is in the log. */
  private isUnsure = false;
  /** What cannot be read is passed over: what is due comes behind it. */
  private passed: SchedulePlace | undefined;
  private stopped = false;

  constructor(private readonly parts: ScheduleMoverParts) {
    this.alarm = parts.scheduler.alarm(() => {
      this.rang();
    });
  }

  /** Learns what is put off, and ends the move that a crash cut short. Before anything is published. */
  async load(): Promise<void> {
    const { state, log, turns, book, schedule } = this.parts;
    await book.loadMark();
    this.from = await readDueFrom(state);
    const moved = this.from === NOWHERE ? new Set<number>() : await numbersInLog(log, this.from, turns);
    const gone: KnownScheduled[] = [];
    for await (const known of allFacts(state, turns)) {
      book.learn(known);
      if (moved.has(known.number)) gone.push(known);
      else schedule.accepted(known.dueTimeMs);
    }
    if (this.from !== NOWHERE) await this.remove(gone, NOWHERE);
    await book.unmarkIfEmpty();
    this.arm();
  }

  /** A message is put off, durably. */
  kept(due: WallMs): void {
    this.parts.schedule.accepted(due);
    this.arm();
  }

  stop(): void {
    this.stopped = true;
    this.alarm.clear();
  }

  private arm(): void {
    if (this.stopped) return;
    const look = this.parts.schedule.nextLook(this.parts.clock.now());
    if (look !== undefined) this.alarm.set(look);
  }

  private rang(): void {
    const { schedule, clock, journal } = this.parts;
    if (!schedule.begin(clock.now())) {
      this.arm();
      return;
    }
    this.move().then(
      () => {
        this.arm();
      },
      (error: unknown) => {
        if (this.stopped) return;
        if (!(error instanceof BrokerError)) journal.error("what is due could not be moved into the log; it is tried again", { queue: this.parts.queue, error });
        const afterMs = error instanceof BrokerError ? (error.retryAfterMs ?? TRY_AGAIN_MS) : TRY_AGAIN_MS;
        schedule.refused(clock.wall(), monotonicMs(clock.monotonic() + afterMs));
        this.arm();
      },
    );
  }

  private async move(): Promise<void> {
    for (let goesOn = true; goesOn && !this.stopped; ) {
      goesOn = await this.parts.serial.run(TAKING, () => this.moveSlice());
      await nextTurn(this.parts.turns);
    }
  }

  /** False when nothing is due any more. */
  private async moveSlice(): Promise<boolean> {
    const { state, clock, schedule, turns, log } = this.parts;
    if (this.isUnsure) await this.findOut();
    const found = await listFacts(state, this.passed, LIMITS.scheduledAtOnceMessages + 1);
    const due = firstSlice(found, clock.wall());
    const [first] = due;
    if (first === undefined) {
      schedule.moved(found[0]?.dueTimeMs);
      return false;
    }
    if (this.from === NOWHERE) await this.begin(log.head().next);
    const messages = await this.read(due);
    await nextTurn(turns);
    if (messages.length > 0) await this.append(messages);
    const behind = found[due.length];
    const isLast = behind === undefined || behind.dueTimeMs > clock.wall();
    await this.remove(messages, isLast ? NOWHERE : log.head().next);
    return true;
  }

  private async begin(from: Offset): Promise<void> {
    await this.parts.state.commit([dueFromPut(from)]);
    this.from = from;
  }

  /** The messages of a slice. One that cannot be read ends it, and is passed over when it comes first. */
  private async read(due: readonly KnownScheduled[]): Promise<readonly Due[]> {
    const { state, journal, queue } = this.parts;
    const entries = await listReadable(state, SCHEDULED_PREFIX, this.passed === undefined ? undefined : scheduledKey(this.passed), due.length);
    const messages: Due[] = [];
    for (const [i, known] of due.entries()) {
      const entry = entries[i];
      const message = entry?.key === scheduledKey(known) ? readable(entry.value) : undefined;
      if (message !== undefined) {
        messages.push({ ...known, message });
        continue;
      }
      if (i > 0) break;
      journal.error("a message that is due is damaged and cannot be read; it is left where it is and passed over", { queue, scheduleId: scheduleId(known) });
      this.passed = known;
    }
    return messages;
  }

  private async append(due: readonly Due[]): Promise<void> {
    const { queue, publish, tally } = this.parts;
    const messages = due.map(({ message }) => message);
    const outcome = await new Promise<PublishOutcome>((resolve) => {
      publish({ queue, messages, expectedLastOffset: undefined, independent: false, due: { numbers: due.map(({ number }) => number) } }, resolve);
    });
    if (outcome.ok) tally.scheduledAppended += due.length;
    else {
      this.isUnsure = outcome.error.retryAfterMs === undefined;
      throw outcome.error;
    }
  }

  /** What was published last may be in the log. */
  private async findOut(): Promise<void> {
    const { state, log, turns } = this.parts;
    const moved = await numbersInLog(log, this.from, turns);
    const gone: KnownScheduled[] = [];
    for await (const known of allFacts(state, turns)) if (moved.has(known.number)) gone.push(known);
    await this.remove(gone, log.head().next);
    this.isUnsure = false;
  }

  private async remove(gone: readonly KnownScheduled[], from: Offset): Promise<void> {
    const puts: Put[] = gone.flatMap(scheduledDeletions);
    await this.parts.state.commit([...puts, dueFromPut(from)]);
    this.from = from;
    this.parts.book.forget(gone.map(({ number, facts }) => ({ number, messageIdHash: facts?.messageIdHash ?? 0n })));
  }
}

/** As much of what is due as goes at once. */
function firstSlice(found: readonly KnownScheduled[], now: WallMs): readonly KnownScheduled[] {
  let bytes = 0;
  const end = found.findIndex(({ dueTimeMs, facts }, i) => {
    bytes += facts?.bytes ?? 0;
    return dueTimeMs > now || i === LIMITS.scheduledAtOnceMessages || (i > 0 && bytes > LIMITS.scheduledAtOnceBytes);
  });
  return end === -1 ? found : found.slice(0, end);
}

function readable(value: Buffer | undefined): NewMessage | undefined {
  if (value === undefined) return undefined;
  try {
    const { message, ttlMs } = decodeScheduled(value);
    return { ...decodeMessage(message), ttlMs };
  } catch (error) {
    if (error instanceof RecordCorrupt || error instanceof MessageFormatError) return undefined;
    throw error;
  }
}
