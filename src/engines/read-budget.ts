/** How much one read may still return. */
export class ReadBudget {
  private taken = false;

  constructor(
    private messages: number,
    private bytes: number,
  ) {}

  /** Whether a chunk still fits; the first one always does. */
  take(messages: number, bytes: number): boolean {
    const fits = messages <= this.messages && bytes <= this.bytes;
    if (this.taken && !fits) return false;
    this.taken = true;
    this.messages -= messages;
    this.bytes -= bytes;
    return true;
  }
}
