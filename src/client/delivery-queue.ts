import type { Delivery } from "./delivery.js";

interface Taker {
  readonly resolve: (result: IteratorResult<Delivery, undefined>) => void;
  readonly reject: (error: Error) => void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Deliveries on their way from the stream to the application's loop: whichever side is early waits. */
export class DeliveryQueue {
  /** As they came; none is empty. Of the first one, those before `head` are gone. */
  private stretches: (readonly Delivery[])[] = [];
  private head = 0;
  private count = 0;
  private readonly takers: Taker[] = [];
  private over = false;
  private error: Error | undefined;

  get length(): number {
    return this.count;
  }

  /** Takes the array over. */
  push(deliveries: readonly Delivery[]): void {
    let given = 0;
    while (given < deliveries.length && this.takers.length > 0) {
      const value = deliveries[given];
      if (value !== undefined) this.takers.shift()?.resolve({ done: false, value });
      given++;
    }
    if (given === deliveries.length) return;
    // Who waits has found the queue empty.
    if (given > 0) this.head = given;
    this.stretches.push(deliveries);
    this.count += deliveries.length - given;
  }

  next(): Promise<IteratorResult<Delivery, undefined>> {
    const stretch = this.stretches[0];
    const value = stretch?.[this.head];
    if (stretch !== undefined && value !== undefined) {
      this.count--;
      this.head++;
      if (this.head === stretch.length) {
        this.stretches.shift();
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
    const all = this.stretches.flat().slice(this.head);
    const left = all.filter((delivery) => !which(delivery));
    this.stretches = left.length === 0 ? [] : [left];
    this.head = 0;
    this.count = left.length;
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
