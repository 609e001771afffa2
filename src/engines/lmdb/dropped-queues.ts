import type { GroupCommit } from "../group-commit.js";
import type { LmdbStore } from "./lmdb-store.js";
import { KIND, kindRange, NO_QUEUE, ownerRange, textKey, textOfKey } from "./record-keys.js";
import type { Owner } from "./record-keys.js";

/** Records that one transaction removes: below 5 ms on a slow machine. */
const SLICE_RECORDS = 256;
const MARKS_MAX = 1_000_000;

/**
 * Removes the records of dropped queues in slices. A mark goes first and comes off with the last slice: what a crash cut short
 * is taken up again at the next open.
 */
export class DroppedQueues {
  private stopped = false;

  constructor(
    private readonly store: LmdbStore,
    private readonly commits: GroupCommit,
  ) {}

  /** Durable, and nothing left, when resolved. `onMarked` is called inside the transaction that settles the queue's fate. */
  drop(owner: Owner, onMarked: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.commits.submit({
        apply: () => {
          onMarked();
          this.store.put(markOf(owner), Buffer.alloc(1));
        },
        settle: () => {
          this.removeSlice(owner, resolve);
        },
      });
    });
  }

  /** Takes up what was begun before the last close or crash; goes on beside everything else. */
  finishAll(): void {
    const [start, end] = kindRange(NO_QUEUE, KIND.dropped);
    for (const mark of this.store.keys(start, end, MARKS_MAX)) {
      this.removeSlice(Buffer.from(textOfKey(mark), "latin1"), () => undefined);
    }
  }

  /** No more slices: the rest waits for the next open. */
  stop(): void {
    this.stopped = true;
  }

  private removeSlice(owner: Owner, done: () => void): void {
    if (this.stopped) return;
    let finished = false;
    this.commits.submitClearing({
      apply: () => {
        const keys = this.store.keys(...ownerRange(owner), SLICE_RECORDS);
        for (const key of keys) this.store.remove(key);
        finished = keys.length < SLICE_RECORDS;
        if (finished) this.store.remove(markOf(owner));
      },
      settle: () => {
        if (finished) done();
        else this.removeSlice(owner, done);
      },
    });
  }
}

function markOf(owner: Owner): Buffer {
  return textKey(NO_QUEUE, KIND.dropped, owner.toString("latin1"));
}
