import type { Engine, EngineFailure, QueueId } from "../../ports/engine.js";
import type { Log } from "../../ports/log.js";
import type { State } from "../../ports/state.js";
import { NO_TELEMETRY } from "../../ports/telemetry.js";
import type { Telemetry } from "../../ports/telemetry.js";
import { GroupCommit } from "../group-commit.js";
import type { Work } from "../group-commit.js";
import { MemoryDisk } from "./memory-disk.js";
import { MemoryFaults } from "./memory-faults.js";
import { MemoryLog } from "./memory-log.js";
import { MemoryState } from "./memory-state.js";

const WATCHDOG_MS = 30_000;

/**
 * The reference engine: everything in this process, gone with it. Serves `--memory`, and stands in for a disk in tests, which
 * share a MemoryDisk between two engines for a crash and turn the knobs of MemoryFaults.
 */
export class MemoryEngine implements Engine {
  readonly name = "memory";
  readonly durability = "MEMORY";
  readonly catalog: State;
  readonly failed: Promise<EngineFailure>;
  private readonly commits: GroupCommit;
  private readonly logs = new Map<QueueId, MemoryLog>();
  private readonly states = new Map<QueueId, MemoryState>();
  private closed = false;

  constructor(
    readonly disk = new MemoryDisk(),
    readonly faults = new MemoryFaults(),
    telemetry: Telemetry = NO_TELEMETRY,
  ) {
    this.commits = new GroupCommit({ transact: (works) => this.transact(works) }, WATCHDOG_MS, telemetry);
    this.failed = this.commits.failed;
    this.catalog = new MemoryState(disk, disk.catalog, this.commits, faults);
  }

  get hasRoom(): boolean {
    return this.faults.hasRoom;
  }

  diskUse(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  openLog(queue: QueueId): Promise<Log> {
    if (this.closed) return Promise.reject(new Error("the engine is closed"));
    let log = this.logs.get(queue);
    if (log === undefined) {
      log = new MemoryLog(this.disk.queue(queue), this.commits, this.faults);
      this.logs.set(queue, log);
    }
    return Promise.resolve(log);
  }

  state(queue: QueueId): State {
    let state = this.states.get(queue);
    if (state === undefined) {
      state = new MemoryState(this.disk, this.disk.queue(queue).entries, this.commits, this.faults);
      this.states.set(queue, state);
    }
    return state;
  }

  drop(queue: QueueId): Promise<void> {
    return new Promise((resolve) => {
      this.commits.submit({
        apply: () => undefined,
        settle: () => {
          this.disk.remove(queue);
          this.logs.delete(queue);
          this.states.delete(queue);
          resolve();
        },
      });
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.commits.stop();
  }

  private async transact(works: readonly Work[]): Promise<void> {
    for (const work of works) work.apply();
    await this.faults.passCommit();
  }
}
