/** Switches with which a test makes a memory engine misbehave. Untouched, the engine does not. */
export class MemoryFaults {
  /** Commits begun so far, failed ones included. */
  commits = 0;
  /** Which commit is to fail, counted from 1; 0 for none. It stops the engine, as a real one would. */
  failingCommit = 0;
  /** How many appends, from the next one on, are refused as if somebody else had appended. */
  conflictingAppends = 0;
  /** How many state commits, from the next one on, are refused as if somebody else had changed their keys. */
  conflictingStateCommits = 0;
  hasRoom = true;
  private held: Promise<void> | undefined;

  /** Commits begun from now on do not end until the function returned is called. */
  holdCommits(): () => void {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.held = held;
    return () => {
      if (this.held === held) this.held = undefined;
      release();
    };
  }

  /** The gate that every commit passes between writing and being durable. */
  async passCommit(): Promise<void> {
    const number = ++this.commits;
    await this.held;
    if (number === this.failingCommit) throw new Error(`commit ${number} was told to fail`);
  }

  takeAppendConflict(): boolean {
    return this.conflictingAppends > 0 && this.conflictingAppends-- > 0;
  }

  takeStateConflict(): boolean {
    return this.conflictingStateCommits > 0 && this.conflictingStateCommits-- > 0;
  }
}
