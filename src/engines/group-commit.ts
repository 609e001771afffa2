import { EngineFailure } from "../ports/engine.js";

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
  private running = false;
  private scheduled = false;
  private stopped = false;
  private readonly idleWaiters: (() => void)[] = [];

  /**
   * @param transact applies the works in order in one transaction; resolves once it is durable
   * @param watchdogMs how long a transaction may take before it counts as failed
   */
  constructor(
    private readonly transact: (works: readonly Work[]) => Promise<void>,
    private readonly watchdogMs: number,
  ) {
    this.failed = new Promise((resolve) => {
      this.reportFailure = resolve;
    });
  }

  /** A commit failed, or did not end. */
  get hasFailed(): boolean {
    return this.stopped;
  }

  /** Joins the next transaction, which starts at the end of this turn or when the one in flight ends. */
  submit(work: Work): void {
    this.pending.push(work);
    if (this.running || this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.next();
    });
  }

  /** Resolves when nothing is pending or in flight, or when nothing will ever be answered any more. */
  idle(): Promise<void> {
    if (this.stopped || (!this.running && this.pending.length === 0)) return Promise.resolve();
    return new Promise((resolve) => {
      this.idleWaiters.push(resolve);
    });
  }

  private next(): void {
    if (this.running || this.stopped) return;
    const works = this.pending;
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
    this.reportFailure(failure);
    this.wakeIdleWaiters();
  }

  private wakeIdleWaiters(): void {
    for (const wake of this.idleWaiters.splice(0)) wake();
  }
}
