import { LIMITS } from "../core/limits.js";
import { TurnBudget } from "../core/subscription/turn-budget.js";
import type { Turns } from "../ports/turns.js";

/** Who has more to do than one turn lets him. */
export interface TurnTaker {
  /** A turn has come. What is still left then has to be asked for again. */
  turnCame(): void;
}

/** The turns of the event loop, as all subscriptions of the process share them: each gets its part, one after the other. */
export class SharedTurns {
  readonly budget = new TurnBudget(LIMITS.turnMessagesMax, LIMITS.turnBytesMax);
  /** In the order in which they are served. */
  private readonly waiting = new Set<TurnTaker>();
  private beginsSoon = false;

  constructor(private readonly turns: Turns) {}

  /** Calls `turnCame` in a later turn. Asking again before that changes nothing. */
  wait(taker: TurnTaker): void {
    this.waiting.add(taker);
    this.beginNext();
  }

  /** Whoever waited is over. */
  forget(taker: TurnTaker): void {
    this.waiting.delete(taker);
  }

  /** Something was done that may have been paid out of the budget. */
  worked(): void {
    if (this.budget.isTouched) this.beginNext();
  }

  private beginNext(): void {
    if (this.beginsSoon) return;
    this.beginsSoon = true;
    this.turns.next(() => {
      this.beginsSoon = false;
      this.serve();
    });
  }

  private serve(): void {
    this.budget.begin();
    for (let left = this.waiting.size; left > 0 && !this.budget.isSpent; left--) {
      const [first] = this.waiting;
      if (first === undefined) return;
      this.waiting.delete(first);
      first.turnCame();
    }
    if (this.waiting.size > 0) this.beginNext();
  }
}
