/** Chunks that one read returns at most: small ones cost by their number, some microseconds each, and others wait for their turn. */
export const READ_CHUNKS_MAX = 400;

/** How much one read may still return. */
export class ReadBudget {
  private chunks = 0;

  constructor(
    private messages: number,
    private bytes: number,
  ) {}

  /** Whether a chunk still fits; the first one always does. */
  take(messages: number, bytes: number): boolean {
    const fits = messages <= this.messages && bytes <= this.bytes && this.chunks < READ_CHUNKS_MAX;
    if (this.chunks > 0 && !fits) return false;
    this.chunks++;
    this.messages -= messages;
    this.bytes -= bytes;
    return true;
  }
}
