/** Of frames, per turn of the event loop: two to four milliseconds of looking over and copying, whatever their messages are. */
const TURN_BYTES_MAX = 512 * 1024;
/** What a message costs besides its bytes, in bytes that take as long. */
const MESSAGE_COST_BYTES = 64;

/**
 * How much of what is published on streams one turn of the event loop takes in, all streams together: what a greedy publisher
 * sends at once comes in over several turns, and between them is everybody else. A stream that has a frame in a turn gets that
 * one in, whatever others have taken.
 */
export class IntakeBudget {
  private left = TURN_BYTES_MAX;
  private readonly waiting: (() => void)[] = [];
  private isTurning = false;

  /** Counts a frame that was taken in. True: that is enough for this turn. */
  spend(bytes: number, messages: number): boolean {
    this.left -= bytes + messages * MESSAGE_COST_BYTES;
    this.turn();
    return this.left <= 0;
  }

  /** Calls back in the next turn, when there is a budget again. */
  whenRenewed(f: () => void): void {
    this.waiting.push(f);
    this.turn();
  }

  private turn(): void {
    if (this.isTurning) return;
    this.isTurning = true;
    setImmediate(() => {
      this.isTurning = false;
      this.left = TURN_BYTES_MAX;
      for (const f of this.waiting.splice(0)) f();
    });
  }
}
