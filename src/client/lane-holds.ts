import type { Delivery } from "./delivery.js";

/** What is held back of one ordering key. */
interface LaneHold {
  /** Frames that gave a message of the key back and have no answer yet. */
  readonly requests: Set<bigint>;
  /** In the order in which they came. */
  deliveries: Delivery[];
}

/**
 * Keeps the order of a key when several of its messages may be in this client's hands. A message that the application gives
 * back comes again before those behind it, and the broker recalls these; until its answer has come, and so the recall, the
 * application must not see them.
 */
export class LaneHolds {
  private readonly holds = new Map<string, LaneHold>();
  /** Keys whose messages were given back by the frame that is being gathered. */
  private readonly unsent = new Set<string>();

  /** A message of this key goes back with the next frame; `behind` is what the application has not seen of it. */
  begin(key: string, behind: readonly Delivery[]): void {
    let hold = this.holds.get(key);
    if (hold === undefined) this.holds.set(key, (hold = { requests: new Set(), deliveries: [] }));
    hold.deliveries.push(...behind);
    this.unsent.add(key);
  }

  /** True when the frame being gathered has to be answered. */
  get awaitsAnswer(): boolean {
    return this.unsent.size > 0;
  }

  /** The frame goes out with this id. */
  sent(requestId: bigint): void {
    for (const key of this.unsent) this.holds.get(key)?.requests.add(requestId);
    this.unsent.clear();
  }

  /** Keeps those of keys that are held back, and answers the others. */
  sift(deliveries: Delivery[]): Delivery[] {
    if (this.holds.size === 0) return deliveries;
    return deliveries.filter((delivery) => {
      const hold = this.holds.get(delivery.orderingKey);
      hold?.deliveries.push(delivery);
      return hold === undefined;
    });
  }

  /** These were recalled: drops those that were held back, and answers the others. */
  drop(recalled: ReadonlySet<Delivery>): Set<Delivery> {
    const others = new Set(recalled);
    for (const hold of this.holds.values()) {
      hold.deliveries = hold.deliveries.filter((delivery) => !others.delete(delivery));
    }
    return others;
  }

  /** These frames were answered. What the broker did not recall is the application's after all. */
  answered(requestIds: readonly bigint[]): Delivery[] {
    const released: Delivery[] = [];
    for (const [key, hold] of this.holds) {
      for (const requestId of requestIds) hold.requests.delete(requestId);
      if (hold.requests.size > 0 || this.unsent.has(key)) continue;
      this.holds.delete(key);
      released.push(...hold.deliveries);
    }
    return released;
  }
}
