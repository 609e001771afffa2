import { ChunkBuilder } from "../core/chunk-builder.js";
import type { MessageFacts } from "../core/chunk-builder.js";
import type { EncodedMessages } from "../core/encoded-messages.js";
import type { NewMessage } from "../core/message.js";
import type { ReplayedMessage } from "../core/replayed-message.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import type { ChunkRecord, Head } from "../ports/log.js";
import type { PublishFrame, PublishOutcome } from "./api.js";
import type { NewScheduled } from "./schedule-record.js";

/** A frame with its answer, which is given when everything that it cites is durable. */
export interface JudgedFrame {
  readonly frame: PublishFrame;
  readonly done: (outcome: PublishOutcome) => void;
  readonly outcome: PublishOutcome;
}

/**
 * What the next append of a queue will hold, and the answers that wait for it, in the order of the calls. Offsets are known
 * before the append because the broker is the log's only writer; a conflict means that they are judged anew.
 */
export class OpenBatch {
  readonly frames: JudgedFrame[] = [];
  /** What is put off; it is stored beside the log. */
  readonly scheduled: NewScheduled[] = [];
  private readonly builders: ChunkBuilder[] = [];
  private messages = 0;
  private chargedBytes = 0;

  /**
   * @param first the offset of its first message
   * @param publishTimeMs the time of all its messages: a chunk's times are exact, and dedup can answer with them
   */
  constructor(
    readonly first: Offset,
    readonly publishTimeMs: WallMs,
  ) {}

  /** The offset that the next message will get. */
  get next(): Offset {
    return offset(this.first + this.messages);
  }

  /** Messages to store. */
  get count(): number {
    return this.messages;
  }

  /** Whether there is nothing in it to store. */
  get onlyAnswers(): boolean {
    return this.messages === 0 && this.scheduled.length === 0;
  }

  /** Memory that it stands for, in bytes, frames that store nothing included. */
  get bytes(): number {
    return this.chargedBytes;
  }

  /** Bytes of the messages to store, as they will be stored. */
  get bodyBytes(): number {
    return this.builders.reduce((sum, builder) => sum + builder.bytes, 0);
  }

  /** Takes a frame whose messages, if any are to be stored, were added before. `bytes` is what it is charged. */
  answerLater(frame: JudgedFrame, bytes: number): void {
    this.frames.push(frame);
    this.chargedBytes += bytes;
  }

  /** Adds one message and returns its offset. Hashes are 0n for a message without an id. */
  add(message: NewMessage, messageIdHash: bigint, fingerprint: bigint, joinsPrevious: boolean): Offset {
    return this.addOne(message, { publishTimeMs: this.publishTimeMs, messageIdHash, fingerprint, joinsPrevious });
  }

  /** Adds one message that was put off, with its number in the schedule, and returns its offset. */
  addDue(message: NewMessage, messageIdHash: bigint, fingerprint: bigint, scheduleNumber: number): Offset {
    return this.addOne(message, { publishTimeMs: this.publishTimeMs, messageIdHash, fingerprint, joinsPrevious: false, scheduleNumber });
  }

  /** Adds all messages of a run. `areOne`: they were published all or nothing. */
  addRun(run: EncodedMessages, areOne: boolean): void {
    let builder = this.builders[this.builders.length - 1];
    for (let added = 0; added < run.length; ) {
      if (builder !== undefined) added = builder.addRun(run, added, this.publishTimeMs, areOne);
      if (added === run.length) break;
      builder = new ChunkBuilder();
      this.builders.push(builder);
    }
    this.messages += run.length;
  }

  /** Adds one message that is replayed and returns its offset. */
  addReplayed(copy: ReplayedMessage): Offset {
    const builder = this.builders[this.builders.length - 1];
    if (builder === undefined || !builder.addReplayed(copy, this.publishTimeMs)) {
      const fresh = new ChunkBuilder();
      fresh.addReplayed(copy, this.publishTimeMs);
      this.builders.push(fresh);
    }
    return this.counted();
  }

  /** Closes its chunks behind `head`. Once, and only when there is a message in it. */
  seal(head: Head): readonly ChunkRecord[] {
    let { next, cumulativeMessages, cumulativeBytes } = head;
    return this.builders.map((builder) => {
      const sealed = builder.seal(next, cumulativeMessages, cumulativeBytes);
      next = offset(sealed.chunk.last + 1);
      cumulativeMessages = sealed.chunk.cumulativeMessages;
      cumulativeBytes = sealed.chunk.cumulativeBytes;
      return sealed;
    });
  }

  private addOne(message: NewMessage, facts: MessageFacts): Offset {
    const builder = this.builders[this.builders.length - 1];
    if (builder === undefined || !builder.add(message, facts)) {
      const fresh = new ChunkBuilder();
      fresh.add(message, facts);
      this.builders.push(fresh);
    }
    return this.counted();
  }

  /** One message more is in it; answers its offset. */
  private counted(): Offset {
    const at = this.next;
    this.messages++;
    return at;
  }
}
