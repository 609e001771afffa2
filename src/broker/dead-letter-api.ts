import type { Offset } from "../core/units.js";
import type { DeadLetterFilter } from "./dead-letter-filter.js";
import type { DeadLetterPage, DeadLetterQuery } from "./dead-letter-list.js";

/** What an edge may ask about the dead letters of a subscriber. Each rejects with CHUNK_CORRUPT when it comes to one that cannot be read. */
export interface DeadLetterApi {
  listDeadLetters(queue: string, subscriber: string, query: DeadLetterQuery): Promise<DeadLetterPage>;
  /**
   * Publishes a copy of each for this subscriber alone, and takes the letter away once that is durable. When it fails, those
   * before are replayed and the rest stays.
   */
  replayDeadLetters(queue: string, subscriber: string, choice: DeadLetterChoice): Promise<ReplayOutcome>;
  /** Takes them away for good. One that cannot be read goes too, where the filter asks for nothing but offsets. */
  deleteDeadLetters(queue: string, subscriber: string, choice: DeadLetterChoice): Promise<DeletionOutcome>;
}

/** Which dead letters. */
export interface DeadLetterChoice {
  readonly filter: DeadLetterFilter;
  /** At most this many, by growing offset; Infinity: no bound. */
  readonly limit: number;
  /** Only counts. */
  readonly dryRun: boolean;
}

/** What was deleted, or would be. */
export interface DeletionOutcome {
  readonly deletedCount: number;
  /** How many more the filter takes. */
  readonly remainingCount: number;
}

/** What was replayed, or would be. */
export interface ReplayOutcome {
  readonly replayedCount: number;
  /** How many more the filter takes. */
  readonly remainingCount: number;
  /** Where the first copy is; 0: there is none. */
  readonly firstOffset: Offset;
  readonly lastOffset: Offset;
}

/** For whom a frame of copies is, and where each of its messages was first published. */
export interface Replay {
  readonly addressee: string;
  readonly origins: readonly Offset[];
}
