import { messageBytes, messageStart } from "../core/chunk.js";
import type { Chunk } from "../core/chunk.js";
import type { DeadLetter } from "../core/subscription/effects.js";
import type { Offset } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import { LogCorrupt, LogOutOfRange } from "../ports/log.js";
import type { Log } from "../ports/log.js";
import type { DeadLetterCopy } from "./cursor-writer.js";
import { encodeDeadLetter } from "./dead-letter-record.js";
import { deadLetterKey } from "./state-keys.js";
import type { QueueTail } from "./tail-cache.js";

/** Dead letters in one cursor commit; the next ones wait for it, so that a mass reject does not fill the memory. */
const LETTERS_AT_ONCE = 256;
const BYTES_AT_ONCE = 1024 * 1024;
const NO_MESSAGE = Buffer.alloc(0);

/** What the copies are handed to. */
export interface Graveyard {
  /** Puts the copies into the next cursor commit and reports the offsets as copied, in this turn. Resolves when they are durable. */
  bury(copies: readonly DeadLetterCopy[], offsets: readonly Offset[]): Promise<void>;
  /** The messages could not be read at all. */
  burialFailed(error: unknown): void;
}

/** Copies a subscriber's dead letters out of the log, slice by slice, in order. */
export class Burial {
  private waiting: DeadLetter[] = [];
  private working = false;
  private closed = false;

  constructor(
    private readonly subscriber: string,
    private readonly log: Log,
    private readonly tail: QueueTail,
    private readonly clock: Clock,
    private readonly graveyard: Graveyard,
  ) {}

  add(deadLetters: readonly DeadLetter[]): void {
    for (const deadLetter of deadLetters) this.waiting.push(deadLetter);
    if (!this.working) void this.work();
  }

  close(): void {
    this.closed = true;
    this.waiting = [];
  }

  private async work(): Promise<void> {
    this.working = true;
    // The step that asks for them ends first, so that the commit with the copies has the cursor without the messages.
    await Promise.resolve();
    try {
      while (this.waiting.length > 0) await this.buryNext();
    } catch (error) {
      if (!this.closed) this.graveyard.burialFailed(error);
    }
    this.working = false;
  }

  private async buryNext(): Promise<void> {
    const copies: DeadLetterCopy[] = [];
    const offsets: Offset[] = [];
    let bytes = 0;
    let chunk: Chunk | undefined;
    for (const deadLetter of this.waiting) {
      if (copies.length >= LETTERS_AT_ONCE || bytes >= BYTES_AT_ONCE) break;
      const at = deadLetter.offset;
      if (chunk === undefined || at < chunk.first || at > chunk.last) chunk = this.tail.find(at) ?? (await this.read(at));
      const message = chunk === undefined ? NO_MESSAGE : messageIn(chunk, at);
      const value = encodeDeadLetter(deadLetter, this.clock.wall(), message);
      bytes += value.length;
      copies.push({ key: deadLetterKey(this.subscriber, at), value });
      offsets.push(at);
    }
    if (this.closed) return;
    this.waiting = this.waiting.slice(copies.length);
    await this.graveyard.bury(copies, offsets);
  }

  /** The chunk with this message; undefined when it is corrupt or gone, and the letter is kept without it. */
  private async read(at: Offset): Promise<Chunk | undefined> {
    try {
      const [chunk] = await this.log.read(at, { maxMessages: 1, maxBytes: 1, wantsBody: () => true });
      return chunk;
    } catch (error) {
      if (error instanceof LogCorrupt || error instanceof LogOutOfRange) return undefined;
      throw error;
    }
  }
}

function messageIn(chunk: Chunk, at: Offset): Buffer {
  const index = at - chunk.first;
  if (chunk.body === undefined || index < 0 || index >= chunk.count) return NO_MESSAGE;
  const start = messageStart(chunk, index);
  return chunk.body.subarray(start, start + messageBytes(chunk, index));
}
