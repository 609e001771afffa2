import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { decodeMessage } from "../core/message-codec.js";
import { invalidField } from "../core/names.js";
import { dueTime, Schedule } from "../core/schedule.js";
import { wallMs } from "../core/units.js";
import { MessageFormatError } from "../core/wire-format.js";
import type { Clock } from "../ports/clock.js";
import type { Engine, QueueId } from "../ports/engine.js";
import type { Journal } from "../ports/journal.js";
import type { Log } from "../ports/log.js";
import type { QueueTally } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import type { PublishFrame, PublishOutcome } from "./api.js";
import { RecordCorrupt } from "./json-record.js";
import { nextTurn } from "./log-headers.js";
import type { ScheduledInfo, ScheduledPage, ScheduledQuery } from "./schedule-api.js";
import { ScheduleBook } from "./schedule-book.js";
import { listFacts, listReadable } from "./schedule-facts.js";
import { ScheduleMover, TAKING } from "./schedule-mover.js";
import { decodeScheduled, scheduledDeletions } from "./schedule-record.js";
import type { Scheduler } from "./scheduler.js";
import { SerialByName } from "./serial-by-name.js";
import { placeInKey, placeOfId, scheduledKey, scheduleId, SCHEDULED_PREFIX } from "./state-keys.js";
import type { SchedulePlace } from "./state-keys.js";

/** Each carries its message, up to 1 MiB. */
const ENTRIES_AT_ONCE = 8;

/** What the schedules of a queue work with. */
export interface SchedulesParts {
  readonly queue: string;
  readonly queueId: QueueId;
  readonly engine: Engine;
  readonly log: Log;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly turns: Turns;
  readonly journal: Journal;
  readonly tally: QueueTally;
  readonly publish: (frame: PublishFrame, done: (outcome: PublishOutcome) => void) => boolean;
  /** Why nothing may be changed any more: the queue was deleted, or the broker ends. */
  readonly closedBy: () => BrokerError | undefined;
}

/** The messages of a queue that are put off: taken in, shown, taken back, and appended when they are due. */
export class Schedules {
  /** For whoever judges what is published. */
  readonly book: ScheduleBook;
  private readonly mover: ScheduleMover;
  private readonly serial = new SerialByName();

  constructor(private readonly parts: SchedulesParts) {
    const { queue, queueId, engine, clock } = parts;
    this.book = new ScheduleBook({
      ...{ queue, queueId, engine, clock },
      kept: (due) => {
        this.mover.kept(due);
      },
    });
    this.mover = new ScheduleMover({ ...parts, state: engine.state(queueId), book: this.book, schedule: new Schedule(), serial: this.serial });
  }

  /** See ScheduleMover.load. */
  load(): Promise<void> {
    return this.mover.load();
  }

  stop(): void {
    this.mover.stop();
  }

  /** A frame that says when it is due. What is due already goes the way of every other. */
  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean {
    const { when, ...now } = frame;
    if (when === undefined) return this.parts.publish(now, done);
    const wall = this.parts.clock.wall();
    try {
      const dueTimeMs = dueTime(when, wall);
      return this.parts.publish(dueTimeMs <= wall ? now : { ...now, dueTimeMs }, done);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.parts.turns.next(() => {
        done({ ok: false, error });
      });
      return true;
    }
  }

  /** See ScheduleApi.listScheduled. A page ends at LIMITS.scheduledPageBytesMax, except that one message always passes. */
  async list({ after, size, omitPayload }: ScheduledQuery): Promise<ScheduledPage> {
    let position = after === undefined ? undefined : placeAfter(after);
    const scheduled: ScheduledInfo[] = [];
    let bytes = 0;
    for (;;) {
      const entries = await listReadable(this.state, SCHEDULED_PREFIX, position === undefined ? undefined : scheduledKey(position), Math.min(ENTRIES_AT_ONCE, size + 1 - scheduled.length));
      if (entries.length === 0) return { scheduled, next: undefined };
      for (const { key, value } of entries) {
        const place = placeInKey(key);
        const info = infoOf(place, value);
        bytes += info.message.length - (omitPayload ? info.payloadBytes : 0);
        const next = position === undefined ? "" : scheduleId(position);
        if (scheduled.length > 0 && (scheduled.length >= size || bytes > LIMITS.scheduledPageBytesMax || info.message.length === 0)) return { scheduled, next };
        if (info.message.length === 0) throw this.unreadable(place);
        scheduled.push(info);
        position = place;
      }
      await nextTurn(this.parts.turns);
    }
  }

  /** See ScheduleApi.cancelScheduled. */
  async cancel(id: string): Promise<ScheduledInfo> {
    const place = placeOfId(id);
    if (place === undefined) throw this.notFound(id);
    return this.serial.run(TAKING, async () => {
      const [entry] = await listReadable(this.state, scheduledKey(place), undefined, 1);
      const closed = this.parts.closedBy();
      if (closed !== undefined) throw closed;
      if (entry === undefined) throw this.notFound(id);
      const [known] = await listFacts(this.state, before(place), 1);
      await this.state.commit(scheduledDeletions(place));
      this.book.forget([{ number: place.number, messageIdHash: known?.number === place.number ? (known.facts?.messageIdHash ?? 0n) : 0n }]);
      this.parts.journal.info("a message that was put off is cancelled", { queue: this.parts.queue, scheduleId: id });
      return infoOf(place, entry.value);
    });
  }

  private get state(): ReturnType<Engine["state"]> {
    return this.parts.engine.state(this.parts.queueId);
  }

  private notFound(id: string): BrokerError {
    const { queue } = this.parts;
    return new BrokerError("SCHEDULE_NOT_FOUND", `queue ${queue} has put off no message with schedule_id ${JSON.stringify(id)}: it became due, was cancelled, or never was`, {
      queue,
      schedule_id: id,
    });
  }

  private unreadable(place: SchedulePlace): BrokerError {
    const { queue } = this.parts;
    const id = scheduleId(place);
    return new BrokerError("CHUNK_CORRUPT", `the message ${id} that queue ${queue} has put off is damaged and cannot be read; cancel it, and the others can be listed`, { queue, schedule_id: id });
  }
}

function placeAfter(id: string): SchedulePlace {
  const place = placeOfId(id);
  if (place === undefined) throw invalidField("page_token", id, "a next_page_token of the same list, or nothing");
  return place;
}

/** What sorts right before a place. Numbers begin at 1. */
function before({ dueTimeMs, number }: SchedulePlace): SchedulePlace {
  return { dueTimeMs, number: number - 1 };
}

function infoOf(place: SchedulePlace, value: Buffer | undefined): ScheduledInfo {
  const facts = { scheduleId: scheduleId(place), dueTimeMs: place.dueTimeMs };
  const unreadable = { ...facts, acceptTimeMs: wallMs(0), message: Buffer.alloc(0), payloadBytes: 0 };
  if (value === undefined) return unreadable;
  try {
    const { acceptTimeMs, message } = decodeScheduled(value);
    return { ...facts, acceptTimeMs, message, payloadBytes: decodeMessage(message).payload.length };
  } catch (error) {
    if (error instanceof RecordCorrupt || error instanceof MessageFormatError) return unreadable;
    throw error;
  }
}
