/** Random choices that a seed repeats: the same seed gives the same sequence. */
export class SeededRandom {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }

  /** The seed that the environment asks for with TIDEMARK_SEED, or a new one. */
  static fromEnvironment(): SeededRandom {
    const asked = process.env["TIDEMARK_SEED"];
    if (asked === undefined || asked === "") return new SeededRandom(Math.floor(Math.random() * 0x1_0000_0000));
    if (!/^\d+$/.test(asked)) throw new Error(`TIDEMARK_SEED is ${JSON.stringify(asked)}; it must be a whole number`);
    return new SeededRandom(Number(asked));
  }

  /** A sequence of its own, so that what one program draws does not depend on when another one does. */
  fork(): SeededRandom {
    return new SeededRandom(Math.floor(this.next() * 0x1_0000_0000));
  }

  /** From 0, below 1. */
  next(): number {
    // A Weyl sequence through a mixer of two multiply-xorshift rounds.
    this.state = (this.state + 0x9e37_79b9) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from `low` through `high`. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.between(0, choices.length - 1)] ?? choices[0];
  }
}
