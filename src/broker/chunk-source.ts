import type { Fact } from "../core/subscription/facts.js";
import type { FilterHistory } from "../core/subscription/filter-history.js";
import { isAddressed } from "../core/subscription/loaded-chunks.js";
import type { Offset } from "../core/units.js";
import type { Journal } from "../ports/journal.js";
import { LogCorrupt, LogOutOfRange } from "../ports/log.js";
import type { Log } from "../ports/log.js";
import type { Turns } from "../ports/turns.js";
import type { QueueTail } from "./tail-cache.js";

/** One read: a full chunk, or as many small ones. */
const READ_BYTES = 256 * 1024;
/** Bound of a read of small chunks, or of headers whose bodies nobody wants. */
const READ_MESSAGES = 16_384;

/** The answer to a `load`. */
export type LoadedFact = Extract<Fact, { type: "chunks_loaded" | "log_truncated" | "chunk_corrupt" }>;

/** Where subscriptions get their chunks: the newest from memory, at once; older ones from the log. */
export class ChunkSource {
  constructor(
    private readonly log: Log,
    private readonly tail: QueueTail,
    private readonly turns: Turns,
    private readonly journal: Journal,
  ) {}

  /** What memory has from an offset on, or undefined. */
  cached(from: Offset): LoadedFact | undefined {
    const chunks = this.tail.run(from, READ_BYTES);
    return chunks.length === 0 ? undefined : { type: "chunks_loaded", chunks };
  }

  /**
   * Reads the log. `done` is called in a later turn, so that a subscriber that goes through a long log lets others live.
   * Bodies in which no filter takes anything stay unread: neither that of now, nor the one that a message was handed out under
   * and is to be handed out again.
   */
  read(from: Offset, filters: FilterHistory, subscriber: string, done: (fact: LoadedFact) => void): void {
    const answer = (fact: LoadedFact): void => {
      this.turns.next(() => {
        done(fact);
      });
    };
    this.log.read(from, { maxMessages: READ_MESSAGES, maxBytes: READ_BYTES, wantsBody: (header) => filters.takesAnyOf(header) || isAddressed(header, subscriber) }).then(
      (chunks) => {
        if (chunks.length > 0) answer({ type: "chunks_loaded", chunks });
        else answer({ type: "log_truncated", first: this.log.head().next });
      },
      (error: unknown) => {
        this.failed(from, error, answer);
      },
    );
  }

  private failed(from: Offset, error: unknown, answer: (fact: LoadedFact) => void): void {
    if (error instanceof LogOutOfRange) {
      answer({ type: "log_truncated", first: error.first });
      return;
    }
    if (error instanceof LogCorrupt) {
      this.journal.error("stored messages fail their checksum; subscribers pass over them", { from: error.from, through: error.through });
      answer({ type: "chunk_corrupt", from: error.from, through: error.through });
      return;
    }
    // The queue was deleted, or the engine has failed and the process is ending: nobody is served from here any more.
    this.journal.error("the log cannot be read", { from, error });
  }
}
