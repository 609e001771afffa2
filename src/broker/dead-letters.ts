import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { DeadLetterChoice, DeletionOutcome, ReplayOutcome } from "./dead-letter-api.js";
import { asksForOffsetsAlone, passes, takesAll } from "./dead-letter-filter.js";
import { listDeadLetters, openLetter, storedLetters, unreadable } from "./dead-letter-list.js";
import type { DeadLetterPage, DeadLetterQuery, DeadLetterShelf, OpenLetter, StoredLetter } from "./dead-letter-list.js";
import type { ReplayedLetter, Replayer } from "./replayer.js";
import { SerialByName } from "./serial-by-name.js";
import type { SubscriptionDriver } from "./subscription-driver.js";
import { movedError } from "./subscription-errors.js";

/** Letters that one commit takes away. */
const LETTERS_AT_ONCE = 256;
const BYTES_AT_ONCE = 1024 * 1024;

/** A letter that a filter takes. */
interface Taken extends StoredLetter {
  /** Undefined: it cannot be read. */
  readonly open: OpenLetter | undefined;
}

/** What was done to letters, or would be. */
interface Work {
  readonly count: number;
  readonly remaining: number;
}

/** Takes dead letters off their shelves: for good, or back into the queue. One call at a time works on those of a queue. */
export class DeadLetters {
  private readonly serial = new SerialByName();

  /**
   * @param find the driver of a durable subscriber; rejects with SUBSCRIBER_NOT_FOUND
   * @param shelfOf where its letters are
   */
  constructor(
    private readonly replayer: Replayer,
    private readonly find: (subscriber: string) => Promise<SubscriptionDriver>,
    private readonly shelfOf: (subscriber: string) => DeadLetterShelf,
  ) {}

  /** See DeadLetterApi.listDeadLetters. */
  async list(subscriber: string, query: DeadLetterQuery): Promise<DeadLetterPage> {
    await this.find(subscriber);
    return listDeadLetters(this.shelfOf(subscriber), query);
  }

  /** See DeadLetterApi.replayDeadLetters. */
  replay(subscriber: string, choice: DeadLetterChoice): Promise<ReplayOutcome> {
    return this.withLetters(subscriber, async (shelf, driver) => {
      let [firstOffset, lastOffset] = [offset(0), offset(0)];
      const { count, remaining } = await work(shelf, driver, choice, async (letters) => {
        const first = await this.replayer.replay(driver, letters.map((letter) => replayable(shelf, letter)));
        if (firstOffset === 0) firstOffset = first;
        lastOffset = offset(first + letters.length - 1);
      });
      return { replayedCount: count, remainingCount: remaining, firstOffset, lastOffset };
    });
  }

  /** See DeadLetterApi.deleteDeadLetters. */
  delete(subscriber: string, choice: DeadLetterChoice): Promise<DeletionOutcome> {
    return this.withLetters(subscriber, async (shelf, driver) => {
      const { count, remaining } = await work(shelf, driver, choice, async (letters) => {
        const gone = await driver.removeLetters(letters.map(({ at }) => at), []);
        if (!gone) throw movedError(driver.name);
      });
      return { deletedCount: count, remainingCount: remaining };
    });
  }

  private withLetters<T>(subscriber: string, f: (shelf: DeadLetterShelf, driver: SubscriptionDriver) => Promise<T>): Promise<T> {
    return this.serial.run("letters", async () => {
      // A letter whose copy may be there already is none that can be chosen.
      await this.replayer.finish();
      return f(this.shelfOf(subscriber), await this.find(subscriber));
    });
  }
}

/** Does something to all letters that were chosen, slice by slice, and counts. */
async function work(shelf: DeadLetterShelf, driver: SubscriptionDriver, choice: DeadLetterChoice, handle: (letters: readonly Taken[]) => Promise<void>): Promise<Work> {
  const { filter, limit, dryRun } = choice;
  if (dryRun && takesAll(filter)) {
    const count = Math.min(limit, driver.deadLetterCount);
    return { count, remaining: driver.deadLetterCount - count };
  }
  // A copy that fails at once is a letter again while others still wait for their turn: it is not meant.
  const newest = driver.headOffset();
  let [count, remaining, bytes] = [0, 0, 0];
  let slice: Taken[] = [];
  const finish = async (): Promise<void> => {
    const letters = slice;
    [slice, bytes] = [[], 0];
    if (letters.length > 0 && !dryRun) await handle(letters);
  };
  try {
    for await (const letter of takenLetters(shelf, choice, newest)) {
      if (count >= limit) {
        await finish();
        if (takesAll(filter)) return { count, remaining: driver.deadLetterCount };
        remaining++;
        continue;
      }
      // One that cannot be replayed fails alone.
      if (letter.open?.message === undefined) await finish();
      slice.push(letter);
      count++;
      bytes += letter.value?.length ?? 0;
      if (slice.length >= LETTERS_AT_ONCE || bytes >= BYTES_AT_ONCE) await finish();
    }
  } finally {
    await finish();
  }
  return { count, remaining };
}

async function* takenLetters(shelf: DeadLetterShelf, { filter }: DeadLetterChoice, newest: Offset): AsyncGenerator<Taken, void, void> {
  for await (const stored of storedLetters(shelf, filter.offsets, offset(0))) {
    if (stored.at > newest) return;
    const open = opened(shelf, stored, asksForOffsetsAlone(filter));
    if (open === undefined || passes(filter, open.letter, open.message?.event ?? "")) yield { ...stored, open };
  }
}

/** Undefined when the letter cannot be read and that does not matter; CHUNK_CORRUPT when it does. */
function opened(shelf: DeadLetterShelf, stored: StoredLetter, mayBeUnreadable: boolean): OpenLetter | undefined {
  try {
    return openLetter(shelf, stored);
  } catch (error) {
    if (!mayBeUnreadable) throw error;
    return undefined;
  }
}

function replayable(shelf: DeadLetterShelf, { at, open }: Taken): ReplayedLetter {
  const message = open?.message;
  if (message === undefined) throw unreadable(shelf, at);
  return { at, message, originOffset: message.originOffset === 0 ? at : message.originOffset };
}
