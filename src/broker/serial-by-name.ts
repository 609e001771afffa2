/** Runs what concerns one name one after the other, and what concerns different names at the same time. */
export class SerialByName {
  private readonly last = new Map<string, Promise<void>>();

  /** Calls `f` when everything asked for before under this name has ended, well or badly. */
  async run<T>(name: string, f: () => Promise<T>): Promise<T> {
    const before = this.last.get(name);
    let release = (): void => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.last.set(name, mine);
    try {
      await before;
      return await f();
    } finally {
      release();
      if (this.last.get(name) === mine) this.last.delete(name);
    }
  }
}
