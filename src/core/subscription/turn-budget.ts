/**
 * What all subscriptions that share it may do in one turn of the event loop, so that one with much to do does not hold up the
 * others: messages that go out, or back, and their bytes. Counted, since nothing here has a clock. Whoever keeps it says when a
 * turn begins.
 */
export class TurnBudget {
  /** Which turn it is. */
  turn = 0;
  private messages = 0;
  private bytes = 0;

  /** The last thing that is done may go beyond it: a batch is never cut for it. */
  constructor(
    readonly messagesMax: number,
    readonly bytesMax: number,
  ) {}

  begin(): void {
    this.turn++;
    this.messages = 0;
    this.bytes = 0;
  }

  spend(messages: number, bytes: number): void {
    this.messages += messages;
    this.bytes += bytes;
  }

  /** Something was done in this turn. */
  get isTouched(): boolean {
    return this.messages > 0;
  }

  get isSpent(): boolean {
    return this.messages >= this.messagesMax || this.bytes >= this.bytesMax;
  }
}

/** One subscription's part of each turn: half of it at most, so that something is left for one that has little to do. */
export class TurnShare {
  /** Something was left for a later turn. */
  leftOver = false;
  private turn = 0;
  private messages = 0;
  private bytes = 0;

  constructor(private readonly budget: TurnBudget) {}

  spend(messages: number, bytes: number): void {
    this.follow();
    this.messages += messages;
    this.bytes += bytes;
    this.budget.spend(messages, bytes);
  }

  get isSpent(): boolean {
    this.follow();
    const { budget } = this;
    return budget.isSpent || this.messages * 2 >= budget.messagesMax || this.bytes * 2 >= budget.bytesMax;
  }

  private follow(): void {
    if (this.turn === this.budget.turn) return;
    this.turn = this.budget.turn;
    this.messages = 0;
    this.bytes = 0;
  }
}

/** For a subscription that shares with nobody: its turns never end. */
export function endlessTurns(): TurnBudget {
  return new TurnBudget(Infinity, Infinity);
}
