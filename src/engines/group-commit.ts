import { EngineFailure } from "../ports/engine.js";
import { LogOutOfRange } from "../ports/log.js";
import type { Telemetry } from "../ports/telemetry.js";

/** One caller's part of a commit. */
export interface Work {
  /** Checks its conditions and writes, inside the transaction, after all work submitted before it. Throws only when the store fails. */
  apply(): void;
  /** The transaction is durable: publish what was written, answer the caller. */
  settle(): void;
}

/** How the engines commit: one transaction at a time, each with all that was submitted while the one before was on its way. */
export class GroupCommit {
  /** Resolves with the first failure; from then on nothing is written or answered. */
  readonly failed: Promise<EngineFailure>;
  private reportFailure!: (failure: EngineFailure) => void;
  private pending: Work[] = [];
  /** When the first of them came, on the monotonic clock. */
  private pendingSince = 0;
  private running = false;
  private scheduled = false;
  /** No more work is taken in. */
  private stopping = false;
  /** No more work is done. */
  private stopped = false;
  private failure: EngineFailure | undefined;
  private readonly idleWaiters: (() => void)[] = [];

  /**
   * @param transact applies the works in order in one transaction; resolves once it is durable
   * @param watchdogMs how long a transaction may take before it counts as failed
   * @param telemetry hears of each transaction that became durable
   */
  constructor(
    private readonly transact: (works: readonly Work[]) => Promise<void>,
    private readonly watchdogMs: number,
    private readonly telemetry: Telemetry,
  ) {
    this.failed = new Promise((resolve) => {
      this.reportFailure = resolve;
    });
  }

  /** A commit failed, or did not end. */
  get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  /** Joins the next transaction, which starts at the end of this turn or when the one in flight ends. Never settled after `stop`. */
  submit(work: Work): void {
    if (this.stopping || this.stopped) return;
    if (this.pending.length === 0) this.pendingSince = performance.now();
    this.pending.push(work);
    if (this.running || this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.next();
    });
  }

  /**
   * Answers with what `find` returns, at once. An error is only believed of a store that can still commit, and looked for again
   * then: after a failed write, LMDB finds nothing any more of what it has. Stays pending once a commit has failed, or after `stop`.
   */
  async read<T>(find: () => T): Promise<T> {
    if (!this.stopped) {
      try {
        return find();
      } catch (error) {
        if (error instanceof LogOutOfRange) throw error;
      }
    }
    await this.barrier();
    return find();
  }

  /** Resolves after an empty commit behind everything submitted. */
  private barrier(): Promise<void> {
    return new Promise((resolve) => {
      this.submit({ apply: () => undefined, settle: resolve });
    });
  }

  /** Commits what was submitted before, unless a commit fails; then nothing any more. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.idle();
    this.stopped = true;
  }

  private idle(): Promise<void> {
    if (this.stopped || (!this.running && this.pending.length === 0)) return Promise.resolve();
    return new Promise((resolve) => {
      this.idleWaiters.push(resolve);
    });
  }

  private next(): void {
    if (this.running || this.stopped) return;
    const works = this.pending;
    const since = this.pendingSince;
    if (works.length === 0) {
      this.wakeIdleWaiters();
      return;
    }
    this.pending = [];
    this.running = true;
    const watchdog = setTimeout(() => {
      this.fail(new EngineFailure(`a commit has not ended within ${this.watchdogMs} ms`));
    }, this.watchdogMs);
    watchdog.unref();
    this.transact(works).then(
      () => {
        clearTimeout(watchdog);
        if (this.stopped) return;
        this.running = false;
        this.telemetry.committed(works.length, performance.now() - since);
        for (const work of works) work.settle();
        this.next();
      },
      (error: unknown) => {
        clearTimeout(watchdog);
        this.fail(new EngineFailure("a commit failed", { cause: error }));
      },
    );
  }

  private fail(failure: EngineFailure): void {
    this.stopped = true;
    this.failure ??= failure;
    this.reportFailure(failure);
    this.wakeIdleWaiters();
  }

  private wakeIdleWaiters(): void {
    for (const wake of this.idleWaiters.splice(0)) wake();
  }
}
