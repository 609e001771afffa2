import type { Delivery } from "./delivery.js";

interface Taker {
  readonly resolve: (result: IteratorResult<Delivery, undefined>) => void;
  readonly reject: (error: Error) => void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Deliveries on their way from the stream to the application's loop: whichever side is early waits. */
export class DeliveryQueue {
  private items: Delivery[] = [];
  private head = 0;
  private readonly takers: Taker[] = [];
  private over = false;
  private error: Error | undefined;

  get length(): number {
    return this.items.length - this.head;
  }

  push(deliveries: readonly Delivery[]): void {
    let given = 0;
    while (given < deliveries.length) {
      const taker = this.takers.shift();
      const value = deliveries[given];
      if (taker === undefined || value === undefined) break;
      taker.resolve({ done: false, value });
      given++;
    }
    for (; given < deliveries.length; given++) {
      const delivery = deliveries[given];
      if (delivery !== undefined) this.items.push(delivery);
    }
  }

  next(): Promise<IteratorResult<Delivery, undefined>> {
    const value = this.items[this.head];
    if (value !== undefined) {
      this.head++;
      if (this.head === this.items.length) {
        this.items = [];
        this.head = 0;
      }
      return Promise.resolve({ done: false, value });
    }
    if (this.error !== undefined) {
      const error = this.error;
      this.error = undefined;
      return Promise.reject(error);
    }
    if (this.over) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.takers.push({ resolve, reject }));
  }

  /** Takes out what the application has not seen yet, or the part of it that `which` names. */
  take(which: (delivery: Delivery) => boolean = () => true): Delivery[] {
    const all = this.items.slice(this.head);
    this.items = all.filter((delivery) => !which(delivery));
    this.head = 0;
    return all.filter(which);
  }

  /** Nothing more comes. What is queued is still handed out, then the error (to one taker), then the end. */
  end(error?: Error): void {
    if (this.over) return;
    this.over = true;
    this.error = error;
    for (const taker of this.takers.splice(0)) {
      if (this.error === undefined) {
        taker.resolve(DONE);
      } else {
        taker.reject(this.error);
        this.error = undefined;
      }
    }
  }
}
