/** A binary heap: the entry with the lowest key comes first; equal keys in no order. */
export class MinHeap<T> {
  private entries: T[] = [];

  constructor(private readonly keyOf: (entry: T) => number) {}

  get size(): number {
    return this.entries.length;
  }

  peek(): T | undefined {
    return this.entries[0];
  }

  /** Every entry, in no order. */
  values(): readonly T[] {
    return this.entries;
  }

  push(entry: T): void {
    const { entries, keyOf } = this;
    const key = keyOf(entry);
    let i = entries.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      const above = entries[parent] as T;
      if (keyOf(above) <= key) break;
      entries[i] = above;
      i = parent;
    }
    entries[i] = entry;
  }

  /** Takes out what `which` names. Costs O(n log n). */
  remove(which: (entry: T) => boolean): void {
    const all = this.entries;
    this.entries = [];
    for (const entry of all) if (!which(entry)) this.push(entry);
  }

  pop(): T | undefined {
    const { entries, keyOf } = this;
    const top = entries[0];
    const moved = entries.pop();
    if (moved === undefined || entries.length === 0) return top;
    const key = keyOf(moved);
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && keyOf(entries[child + 1] as T) < keyOf(entries[child] as T)) child++;
      const below = entries[child] as T;
      if (keyOf(below) >= key) break;
      entries[i] = below;
      i = child;
    }
    entries[i] = moved;
    return top;
  }
}
