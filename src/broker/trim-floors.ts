import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";

/** What must not be trimmed from under subscribers that are being made, loaded again or moved. */
export class TrimFloors {
  private readonly held = new Set<{ readonly floor: Offset }>();

  /** Nothing behind `floor` is trimmed before the answer is called. */
  hold(floor: Offset): () => void {
    const hold = { floor };
    this.held.add(hold);
    return () => {
      this.held.delete(hold);
    };
  }

  /** The lowest of these and of what is held; undefined: there is none. */
  lowest(committed: Iterable<Offset>): Offset | undefined {
    let lowest = Infinity;
    for (const through of committed) lowest = Math.min(lowest, through);
    for (const { floor } of this.held) lowest = Math.min(lowest, floor);
    return lowest === Infinity ? undefined : offset(lowest);
  }
}
