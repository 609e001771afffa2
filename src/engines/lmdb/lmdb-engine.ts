import { mkdir, open, realpath, stat, statfs } from "node:fs/promises";
import { endianness } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { DiskUse, Engine, EngineFailure, QueueId } from "../../ports/engine.js";
import type { Journal } from "../../ports/journal.js";
import type { Log } from "../../ports/log.js";
import type { State } from "../../ports/state.js";
import type { Telemetry } from "../../ports/telemetry.js";
import { GroupCommit } from "../group-commit.js";
import type { Work } from "../group-commit.js";
import { ChunkCache } from "./chunk-cache.js";
import { ChunkRecords } from "./chunk-records.js";
import { DataDirectoryError } from "./data-directory-error.js";
import { DirectoryLock } from "./directory-lock.js";
import { DroppedQueues } from "./dropped-queues.js";
import { decodeFormatRecord, encodeFormatRecord, newFormatRecord } from "./format-record.js";
import { FreeDisk } from "./free-disk.js";
import { LmdbLog } from "./lmdb-log.js";
import { LmdbState } from "./lmdb-state.js";
import { LmdbStore } from "./lmdb-store.js";
import { KIND, NO_QUEUE, ownerOf, textKey } from "./record-keys.js";
import { checkStoreFile, STORE_FILE } from "./store-file.js";

/** A commit that takes longer will not end: after some errors LMDB never answers. */
const WATCHDOG_MS = 30_000;
/** How long a store that could not be started is waited for: LMDB does not always close after a failed commit. */
const CLOSE_MS_MAX = 1_000;
/** Chunks kept in memory, all queues together. */
const CACHE_BYTES_MAX = 8 * 1024 * 1024;
/** A token is the count of opens above this many bits, and a counter below: 17 trillion writes between two opens. */
const COUNTER_BITS = 44n;
const FORMAT_KEY = textKey(NO_QUEUE, KIND.format, "");

export interface LmdbOptions {
  /** Made, readable by its owner only, if it is not there. */
  readonly directory: string;
  /** Below so many free bytes on its disk `hasRoom` is false; 0: never. */
  readonly freeDiskBytesMin: number;
  readonly journal: Journal;
  readonly telemetry: Telemetry;
}

/** The engine that keeps everything in one directory. */
export interface LmdbEngine extends Engine {
  /** 32 hexadecimal digits, made with the directory: a backup that was restored has it too. */
  readonly directoryId: string;
}

/** Opens a data directory. DataDirectoryError says, for people, why it cannot be: in use, newer, damaged. */
export async function openLmdbEngine(options: LmdbOptions): Promise<LmdbEngine> {
  if (endianness() !== "LE") throw new DataDirectoryError("data directories are little-endian: this machine cannot use them");
  const { directory, made } = await makeDirectory(options.directory);
  const lock = await DirectoryLock.take(directory);
  try {
    await checkStoreFile(directory, options.journal);
    const store = openStore(directory);
    try {
      return await OpenLmdbEngine.start(store, lock, directory, options, made);
    } catch (error) {
      await Promise.race([store.close(), delay(CLOSE_MS_MAX, undefined, { ref: false })]);
      throw error;
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The real path of a directory, made if it is not there. */
async function makeDirectory(path: string): Promise<{ readonly directory: string; readonly made: boolean }> {
  try {
    const made = await mkdir(path, { recursive: true, mode: 0o700 });
    return { directory: await realpath(path), made: made !== undefined };
  } catch (error) {
    throw new DataDirectoryError(`the data directory ${path} cannot be made: ${String(error)}`, { cause: error });
  }
}

function openStore(directory: string): LmdbStore {
  try {
    return LmdbStore.open(directory);
  } catch (error) {
    throw new DataDirectoryError(`the store in ${directory} cannot be opened: ${String(error)}`, { cause: error });
  }
}

class OpenLmdbEngine implements LmdbEngine {
  readonly name = "lmdb";
  readonly durability = "FSYNC";
  readonly catalog: State;
  readonly failed: Promise<EngineFailure>;
  readonly directoryId: string;
  private readonly commits: GroupCommit;
  private readonly cache = new ChunkCache(CACHE_BYTES_MAX);
  private readonly droppedQueues: DroppedQueues;
  private readonly logs = new Map<QueueId, LmdbLog>();
  private readonly states = new Map<QueueId, LmdbState>();
  private lastToken: bigint;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly store: LmdbStore,
    private readonly lock: DirectoryLock,
    private readonly directory: string,
    private readonly freeDisk: FreeDisk,
    private readonly options: LmdbOptions,
    format: { readonly opens: number; readonly directoryId: string },
  ) {
    this.directoryId = format.directoryId;
    this.lastToken = BigInt(format.opens) << COUNTER_BITS;
    const applied = (works: readonly Work[]) => (): void => {
      for (const work of works) work.apply();
    };
    const committer = {
      transact: (works: readonly Work[]) => store.transact(applied(works)),
      transactNow: (works: readonly Work[]) => {
        store.transactNow(applied(works));
      },
    };
    this.commits = new GroupCommit(committer, WATCHDOG_MS, options.telemetry);
    this.failed = this.commits.failed;
    this.catalog = new LmdbState(store, NO_QUEUE, this.commits, () => ++this.lastToken);
    this.droppedQueues = new DroppedQueues(store, this.commits);
  }

  static async start(store: LmdbStore, lock: DirectoryLock, directory: string, options: LmdbOptions, made: boolean): Promise<OpenLmdbEngine> {
    const stored = store.get(FORMAT_KEY);
    const before = stored === undefined ? newFormatRecord() : decodeFormatRecord(stored, directory);
    const format = { ...before, opens: before.opens + 1 };
    try {
      await store.transact(() => {
        store.put(FORMAT_KEY, encodeFormatRecord(format));
      });
    } catch (error) {
      throw new DataDirectoryError(`the store in ${directory} cannot be written: ${String(error)}`, { cause: error });
    }
    await syncDirectory(directory);
    if (made) await syncDirectory(dirname(directory));
    const freeDisk = new FreeDisk(directory, options.freeDiskBytesMin, options.journal);
    await freeDisk.start();
    const engine = new OpenLmdbEngine(store, lock, directory, freeDisk, options, format);
    engine.droppedQueues.finishAll();
    return engine;
  }

  get hasRoom(): boolean {
    return this.freeDisk.hasRoom;
  }

  async diskUse(): Promise<DiskUse | undefined> {
    const { directory } = this;
    try {
      const [{ bavail, bsize }, { size }] = await Promise.all([statfs(directory), stat(join(directory, STORE_FILE))]);
      return { freeBytes: bavail * bsize, storeBytes: size };
    } catch (error) {
      this.options.journal.warn("the disk cannot be asked how full it is", { directory, error });
      return undefined;
    }
  }

  openLog(queue: QueueId): Promise<Log> {
    if (this.closing !== undefined) return Promise.reject(new Error("the engine is closed"));
    return this.commits.read(() => {
      let log = this.logs.get(queue);
      if (log === undefined) {
        const records = new ChunkRecords(this.store, ownerOf(queue), this.cache, (first, reason) => {
          this.options.journal.error("a stored chunk is damaged", { queue, firstOffset: first, error: reason });
        });
        log = new LmdbLog(records, this.commits);
        this.logs.set(queue, log);
      }
      return log;
    });
  }

  state(queue: QueueId): State {
    let state = this.states.get(queue);
    if (state === undefined) {
      state = new LmdbState(this.store, ownerOf(queue), this.commits, () => ++this.lastToken);
      this.states.set(queue, state);
    }
    return state;
  }

  async drop(queue: QueueId): Promise<void> {
    const log = this.logs.get(queue);
    await this.droppedQueues.drop(ownerOf(queue), () => log?.markDropped());
    this.logs.delete(queue);
    this.states.delete(queue);
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    this.freeDisk.stop();
    this.droppedQueues.stop();
    await this.commits.stop();
    // A commit that failed or hangs may still be writing: only the end of the process lets go of the directory then.
    if (this.commits.hasFailed) return;
    await this.store.close();
    await this.lock.release();
  }
}

/** A new file is only safe from a power cut once its directory is on disk too. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
