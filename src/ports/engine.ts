import type { Log } from "./log.js";
import type { State } from "./state.js";

/** What a commit is worth: on this disk, on a majority of disks, or gone with the process. */
export type Durability = "FSYNC" | "QUORUM" | "MEMORY";

/** Why an engine can go no further. The process answers nobody any more, logs this and exits non-zero. */
export class EngineFailure extends Error {
  override readonly name = "EngineFailure";
}

/** Identity of one incarnation of a queue; a queue deleted and made again has another. */
export type QueueId = string;

export interface DiskUse {
  /** What this process may still take of the disk. */
  readonly freeBytes: number;
  /** Size of the files of the store. */
  readonly storeBytes: number;
}

/** A place to keep logs and keyed state. Constructed closed; `open` may fail, `close` is idempotent and bounded. */
export interface Engine {
  /** One word for the start line and GetServerInfo: "lmdb", "memory". */
  readonly name: string;
  readonly durability: Durability;
  /** Queue names, their ids and settings: one atomic domain of its own. */
  readonly catalog: State;
  /** Opens the log of a queue, an empty one if it has none. The same id gives the same object until `drop`. */
  openLog(queue: QueueId): Promise<Log>;
  /** The keyed state of a queue: cursors, dead letters, settings. */
  state(queue: QueueId): State;
  /** Removes a queue's log and state for good, in slices. Durable when resolved; safe to repeat. */
  drop(queue: QueueId): Promise<void>;
  /**
   * True while there is room for new messages. False: publishing is refused (UNAVAILABLE), while acks and trims go on from
   * the reserve. Heals by itself.
   */
  readonly hasRoom: boolean;
  /** The disk as it is now; undefined when nothing is kept on one, or it cannot be asked. Never rejects. */
  diskUse(): Promise<DiskUse | undefined>;
  /**
   * Resolves when a commit failed: nothing that was not yet answered may be answered. Pending calls stay
   * pending, and so do later ones.
   */
  readonly failed: Promise<EngineFailure>;
  /** Waits for what was submitted before, then lets go of the data; idempotent. Later calls reject or stay pending. */
  close(): Promise<void>;
}
