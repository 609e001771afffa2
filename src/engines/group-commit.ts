import { EngineFailure } from "../ports/engine.js";
import { LogOutOfRange } from "../ports/log.js";
import type { Telemetry } from "../ports/telemetry.js";
import { fairShares } from "./fair-share.js";
import type { Sharing } from "./fair-share.js";

/** One caller's part of a commit. Of unknown size, it goes along as if it were small, and is never committed at once. */
export interface Work extends Sharing {
  /** Checks its conditions and writes, inside the transaction, after all work of its line. Throws only when the store fails. */
  apply(): void;
  /** The transaction is durable: publish what was written, answer the caller. */
  settle(): void;
}

/** A store as far as committing needs it. */
export interface Committer {
  /** Applies the works in order in one transaction; resolves once it is durable. */
  transact(works: readonly Work[]): Promise<void>;
  /** The same without letting go of the event loop: without the way to another thread and back, which takes as long as a sync. */
  transactNow?(works: readonly Work[]): void;
}

/** What is committed without letting go of the event loop is alone, no larger than this, and expected to take no longer. */
const ALONE_BYTES_MAX = 16 * 1024;
const ALONE_MS_MAX = 1;
/** A transaction writes about so much, and one large work more: some milliseconds on a usual disk. */
const SHARED_BYTES_MAX = 1024 * 1024;

/**
 * How the engines commit: one transaction at a time, each with all that was submitted while the one before was on its way, as
 * far as that is no more than some megabytes; then each gets its share.
 *
 * What is only to be cleared away goes along in slices, one a transaction whichever queue it is of, and rests after each as
 * long as that transaction took: however much there is to remove, who publishes or settles meanwhile waits for one slice at
 * most, and every second time for none.
 */
export class GroupCommit {
  /** Resolves with the first failure; from then on nothing is written or answered. */
  readonly failed: Promise<EngineFailure>;
  private reportFailure!: (failure: EngineFailure) => void;
  private pending: Work[] = [];
  /** What is to be cleared away, a slice each. */
  private readonly clearings: Work[] = [];
  /** Set while no clearing may go along. */
  private rest: NodeJS.Timeout | undefined;
  /** When the first of them came, on the monotonic clock. */
  private pendingSince = 0;
  private running = false;
  private scheduled = false;
  /** No more work is taken in. */
  private stopping = false;
  /** No more work is done. */
  private stopped = false;
  private failure: EngineFailure | undefined;
  /** How long the last transaction took: a disk that is slow now is not waited for by everybody. */
  private lastTookMs = Infinity;
  private readonly idleWaiters: (() => void)[] = [];

  /**
   * @param watchdogMs how long a transaction may take before it counts as failed
   * @param telemetry hears of each transaction that became durable
   * @param now the monotonic clock, in milliseconds
   */
  constructor(
    private readonly committer: Committer,
    private readonly watchdogMs: number,
    private readonly telemetry: Telemetry,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.failed = new Promise((resolve) => {
      this.reportFailure = resolve;
    });
  }

  /** A commit failed, or did not end. */
  get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  /** Joins the next transaction, which starts at the end of this turn or when the one in flight ends, or one soon after it. Never settled after `stop`. */
  submit(work: Work): void {
    if (this.stopping || this.stopped) return;
    if (this.pending.length === 0) this.pendingSince = this.now();
    this.pending.push(work);
    this.schedule();
  }

  /** A slice of what nobody waits for. Not settled when `stop` comes before its transaction: whoever removes begins again at the next open. */
  submitClearing(work: Work): void {
    if (this.stopping || this.stopped) return;
    this.clearings.push(work);
    this.schedule();
  }

  private schedule(): void {
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
    this.clearings.length = 0;
    clearTimeout(this.rest);
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
    const clearing = this.rest === undefined ? this.clearings.shift() : undefined;
    if (this.pending.length === 0 && clearing === undefined) {
      this.wakeIdleWaiters();
      return;
    }
    const since = this.pending.length === 0 ? this.now() : this.pendingSince;
    const { now, later } = fairShares(this.pending, SHARED_BYTES_MAX);
    const works = clearing === undefined ? now : [...now, clearing];
    this.pending = [...later];
    if (this.committer.transactNow !== undefined && later.length === 0 && this.isWorthWaitingFor(works)) this.commitNow(works, since);
    else this.commit(works, since, clearing !== undefined);
  }

  /** A little work that is alone, as of one caller who waits for each answer, on a disk that answers fast. */
  private isWorthWaitingFor(works: readonly Work[]): boolean {
    return works.length === 1 && (works[0]?.bytes ?? Infinity) <= ALONE_BYTES_MAX && this.lastTookMs <= ALONE_MS_MAX;
  }

  private commitNow(works: readonly Work[], since: number): void {
    const begunMs = this.now();
    try {
      this.committer.transactNow?.(works);
    } catch (error) {
      this.fail(new EngineFailure("a commit failed", { cause: error }));
      return;
    }
    this.committed(works, since, begunMs);
    if (this.pending.length === 0) this.wakeIdleWaiters();
  }

  /** @param rests something is cleared away in it, and nothing for a while afterwards */
  private commit(works: readonly Work[], since: number, rests: boolean): void {
    const begunMs = this.now();
    this.running = true;
    const watchdog = setTimeout(() => {
      this.fail(new EngineFailure(`a commit has not ended within ${this.watchdogMs} ms`));
    }, this.watchdogMs);
    watchdog.unref();
    this.committer.transact(works).then(
      () => {
        clearTimeout(watchdog);
        if (this.stopped) return;
        this.running = false;
        if (rests) this.restFor(this.now() - begunMs);
        this.committed(works, since, begunMs);
        this.next();
      },
      (error: unknown) => {
        clearTimeout(watchdog);
        this.fail(new EngineFailure("a commit failed", { cause: error }));
      },
    );
  }

  private committed(works: readonly Work[], since: number, begunMs: number): void {
    const endedMs = this.now();
    this.lastTookMs = endedMs - begunMs;
    this.telemetry.committed(works.length, endedMs - since);
    for (const work of works) work.settle();
  }

  private restFor(ms: number): void {
    if (this.stopping) return;
    this.rest = setTimeout(() => {
      this.rest = undefined;
      this.schedule();
    }, ms);
    this.rest.unref();
  }

  private fail(failure: EngineFailure): void {
    this.stopped = true;
    clearTimeout(this.rest);
    this.failure ??= failure;
    this.reportFailure(failure);
    this.wakeIdleWaiters();
  }

  private wakeIdleWaiters(): void {
    for (const wake of this.idleWaiters.splice(0)) wake();
  }
}
