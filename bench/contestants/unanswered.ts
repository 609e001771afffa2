/** The publisher waits for answers beyond these: enough to keep a broker busy, and a bound on what its client keeps. */
const UNANSWERED_MAX = 10_000;

/** Publishes that are on their way, for clients that have no bound of their own. */
export class Unanswered {
  private count = 0;
  private readonly waiting: (() => void)[] = [];

  /** Counts a publish until it is answered, or has failed. */
  async track<T>(publish: Promise<T>): Promise<T> {
    this.count++;
    try {
      return await publish;
    } finally {
      if (--this.count < UNANSWERED_MAX) for (const wake of this.waiting.splice(0)) wake();
    }
  }

  /** See Topic.ready. */
  ready(): Promise<void> {
    if (this.count < UNANSWERED_MAX) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}
