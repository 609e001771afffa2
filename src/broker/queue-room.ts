import { BrokerError } from "../core/errors.js";
import type { Retention } from "../core/retention.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Journal } from "../ports/journal.js";
import type { OpenBatch } from "./open-batch.js";
import type { QueueLog } from "./queue-log.js";

/** When a publisher that finds a queue full may try again: its consumers, or time, make room. */
const FULL_RETRY_MS = 1_000;
const NOTHING_SETTLED = { through: offset(0), cumulativeMessages: 0, cumulativeBytes: 0 };

/** What room is judged by. */
export interface RoomParts {
  readonly queue: string;
  readonly log: Pick<QueueLog, "head" | "storedThrough">;
  readonly journal: Journal;
  /** Everything up to it is settled for good, and only waits to be trimmed. */
  readonly settledThrough: () => Offset;
  /** Bytes of messages that were taken and are not in the log yet, as they will be stored. */
  readonly bytesWaiting: () => number;
}

/**
 * How much a bounded queue may still take. Under REJECT_NEW what is there counts, on its way to the disk included; of a queue
 * that is worked off, only what is not settled. Under DROP_OLDEST there is always room, but not for what is larger than all that
 * may stay.
 */
export class QueueRoom {
  /** Settled messages are trimmed chunk by chunk and later; until then this says how many there are. */
  private settled = NOTHING_SETTLED;
  private looking = false;

  constructor(
    private retention: Retention,
    private readonly parts: RoomParts,
  ) {}

  /** Other bounds hold from now on. */
  hold(retention: Retention): void {
    this.retention = retention;
    this.settledMoved();
  }

  /** A committed offset may have moved. Looks only when more than half of the room is taken. */
  settledMoved(): void {
    const { mode, whenFull, maxMessages, maxBytes } = this.retention;
    if (mode === "LOG" || whenFull === "DROP_OLDEST" || this.looking) return;
    const { messages, bytes } = this.parts.log.head();
    if ((maxMessages > 0 && messages * 2 > maxMessages) || (maxBytes > 0 && bytes * 2 > maxBytes)) this.look();
  }

  /** What may be added to the open batch; undefined: whatever comes. */
  behind(batch: OpenBatch): Space | undefined {
    const { mode, maxMessages, maxBytes } = this.retention;
    if (maxMessages === 0 && maxBytes === 0) return undefined;
    const { next, messages, bytes, cumulativeMessages, cumulativeBytes } = this.parts.log.head();
    const settled = mode === "LOG" ? NOTHING_SETTLED : this.settled;
    const goneMessages = Math.max(cumulativeMessages - messages, settled.cumulativeMessages);
    const goneBytes = Math.max(cumulativeBytes - bytes, settled.cumulativeBytes);
    const messagesThere = cumulativeMessages + (batch.next - next) - goneMessages;
    const bytesThere = cumulativeBytes + this.parts.bytesWaiting() - goneBytes;
    return new Space(this.parts.queue, this.retention, messagesThere, bytesThere, () => {
      this.settledMoved();
    });
  }

  private look(): void {
    const { log, journal, queue } = this.parts;
    const through = offset(Math.min(this.parts.settledThrough(), log.head().next - 1));
    if (through <= this.settled.through || this.retention.mode === "LOG") return;
    this.looking = true;
    log.storedThrough(through).then(
      (stored) => {
        this.looking = false;
        this.settled = { through, ...stored };
        this.settledMoved();
      },
      (error: unknown) => {
        this.looking = false;
        journal.error("it cannot be told how much of a queue is settled; it may count as full until that is trimmed", { queue, error });
      },
    );
  }
}

/** What may be added at this moment. */
export class Space {
  constructor(
    private readonly queue: string,
    private readonly retention: Retention,
    private messages: number,
    private bytes: number,
    private readonly refused: () => void,
  ) {}

  /** Whether `take` looks at bytes at all: they cost something to tell. */
  get countsBytes(): boolean {
    return this.retention.maxBytes > 0;
  }

  /**
   * Takes messages that are stored all or none. Throws MESSAGE_TOO_LARGE or BATCH_TOO_LARGE for what would never fit, QUEUE_FULL
   * or LOG_FULL for what does not fit now; then nothing is taken.
   * @param bytes as they are stored
   */
  take(count: number, bytes: number): void {
    const { queue, retention } = this;
    const { maxMessages, maxBytes, whenFull } = retention;
    if (maxBytes > 0 && bytes > maxBytes) throw count === 1 ? messageTooLarge(queue, bytes, maxBytes) : batchTooLarge(queue, "bytes as stored", bytes, "max_bytes", maxBytes);
    if (whenFull === "REJECT_NEW") {
      if (maxMessages > 0 && count > maxMessages) throw batchTooLarge(queue, "messages", count, "max_messages", maxMessages);
      if (maxMessages > 0 && this.messages + count > maxMessages) throw this.full("max_messages", this.messages, maxMessages, "messages");
      if (maxBytes > 0 && this.bytes + bytes > maxBytes) throw this.full("max_bytes", this.bytes, maxBytes, "bytes");
    }
    this.messages += count;
    this.bytes += bytes;
  }

  private full(field: string, value: number, limit: number, unit: string): BrokerError {
    this.refused();
    const { queue } = this;
    const { mode, maxAgeMs } = this.retention;
    const there = `queue ${queue} has ${value} ${unit}, its ${field} is ${limit}, and it takes nothing that goes beyond`;
    if (mode === "LOG" && maxAgeMs === 0) {
      return new BrokerError("LOG_FULL", `${there}: it is a log without a max_age, so room comes only by raising ${field}, by when_full DROP_OLDEST, or by a purge`, { queue, field, value: String(value), limit: String(limit) });
    }
    const until = mode === "LOG" ? "its oldest messages have reached max_age" : "its subscribers have settled more";
    return new BrokerError("QUEUE_FULL", `${there}: publish again when ${until}, or raise ${field}`, { queue, field, value: String(value), limit: String(limit) }, FULL_RETRY_MS);
  }
}

function messageTooLarge(queue: string, bytes: number, maxBytes: number): BrokerError {
  return new BrokerError("MESSAGE_TOO_LARGE", `the message takes ${bytes} bytes as stored; queue ${queue} keeps at most ${maxBytes} bytes, its max_bytes`, {
    field: "message",
    value: String(bytes),
    limit: String(maxBytes),
  });
}

function batchTooLarge(queue: string, unit: string, value: number, field: string, limit: number): BrokerError {
  return new BrokerError("BATCH_TOO_LARGE", `the batch has ${value} ${unit}; queue ${queue} keeps at most ${limit}, its ${field}: send fewer at once`, {
    field: "messages",
    value: String(value),
    limit: String(limit),
  });
}
