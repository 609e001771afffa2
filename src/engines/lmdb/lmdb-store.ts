import { setTimeout as delay } from "node:timers/promises";
import { open } from "lmdb";
import type { RootDatabase } from "lmdb";
import { Slab } from "./slab.js";

const COMMIT_ERROR_WAIT_MS = 200;
const MDB_PAGE_NOTFOUND = -30_797;
const MDB_CORRUPTED = -30_796;

/**
 * The few uses of LMDB that are safe here. Writing happens inside transactions only: a bare asynchronous put on a full disk can
 * take the process down, and one write per turn would share its fate with every other. What is readable is on disk, because
 * `overlappingSync` is off. Reads copy, since LMDB's own buffers are reused by the next read.
 */
export class LmdbStore {
  private readonly slab = new Slab();

  private constructor(private readonly db: RootDatabase<Buffer, Buffer>) {}

  static open(directory: string): LmdbStore {
    const db = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      overlappingSync: false,
      // With batching LMDB makes one more promise per turn that nobody can reach, and whose rejection would end the process.
      eventTurnBatching: false,
      keyEncoding: "binary",
      encoding: "binary",
    });
    db.readerCheck();
    return new LmdbStore(db);
  }

  /** The value of a key in a buffer of its own that begins at a multiple of 8. Inside a transaction: as written so far. */
  get(key: Buffer): Buffer | undefined {
    // Never a part of a pool, and not filled with zeros first.
    return this.copyOf(key, (bytes) => Buffer.allocUnsafeSlow(bytes));
  }

  /** The same, beside other small values that were read: for what is let go of together. */
  getBeside(key: Buffer): Buffer | undefined {
    return this.copyOf(key, this.slab.allocate);
  }

  /** Keys from `start` up to but not with `end`, ascending. */
  keys(start: Buffer, end: Buffer, limit: number): Buffer[] {
    return [...this.db.getKeys({ start, end, limit, snapshot: false })];
  }

  /** The last key before `end` that is not below `start`. */
  lastKeyBefore(end: Buffer, start: Buffer): Buffer | undefined {
    return [...this.db.getKeys({ start: end, end: start, exclusiveStart: true, inclusiveEnd: true, reverse: true, limit: 1, snapshot: false })][0];
  }

  /** Only inside a transaction. */
  put(key: Buffer, value: Buffer): void {
    this.db.putSync(key, value);
  }

  /** Only inside a transaction; a key that is not there is none of its business. */
  remove(key: Buffer): void {
    this.db.removeSync(key);
  }

  /**
   * Runs `apply` in one transaction; resolves when it is on disk. Rejects with nothing of it written when `apply` throws, and
   * when the commit fails. Not for use in parallel.
   */
  async transact(apply: () => void): Promise<void> {
    try {
      // A plain transaction would commit what `apply` wrote before it threw; a child transaction is rolled back.
      await this.db.childTransaction(apply);
    } catch (error) {
      throw await withCommitError(error);
    }
  }

  /** As `transact`, and the event loop waits for the disk. Throws what that rejects with. Not while a `transact` is on its way. */
  transactNow(apply: () => void): void {
    this.db.transactionSync(apply);
  }

  close(): Promise<void> {
    return this.db.close();
  }

  private copyOf(key: Buffer, allocate: (this: void, bytes: number) => Buffer): Buffer | undefined {
    const volatile = this.db.getBinaryFast(key);
    if (volatile === undefined) return undefined;
    const owned = allocate(volatile.length);
    owned.set(new Uint8Array(volatile.buffer, volatile.byteOffset, volatile.length));
    return owned;
  }
}

/** Whether LMDB itself found its pages damaged. */
export function isStoreDamage(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === MDB_CORRUPTED || error.code === MDB_PAGE_NOTFOUND);
}

/** A failed commit carries its reason in a promise that rejects, which would end the process if nobody looked at it. */
async function withCommitError(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error) || !(error.commitError instanceof Promise)) return error;
  const reason: unknown = await Promise.race([error.commitError.catch((cause: unknown) => cause), delay(COMMIT_ERROR_WAIT_MS)]);
  return new Error("LMDB could not commit", { cause: reason ?? error });
}
