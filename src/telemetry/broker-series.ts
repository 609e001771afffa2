import { SubscriptionTally } from "../core/subscription/tally.js";
import { QueueTally } from "../ports/telemetry.js";
import type { BrokerView, QueueView, SubscriberView } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import { CappedSeries, OTHER } from "./capped-series.js";
import { QUEUE_SERIES_MAX, SUBSCRIBER_SERIES_MAX } from "./metric-table.js";

/** What stands in a label for the ephemeral subscribers of a queue, all together: they count, and have no gauges. No subscriber can have that name. */
const EPHEMERAL = "(ephemeral)";
/** Queues and subscribers that are looked at before others may go on. */
const LOOKS_AT_ONCE = 256;

export type QueueSums = Record<Exclude<keyof QueueView, "name" | "subscribers">, number>;
export type SubscriberSums = Record<Exclude<keyof SubscriberView, "name">, number>;

/** The series of all queues and subscribers: what they count, and at a scrape how they stand. */
export class BrokerSeries {
  readonly queues = new CappedSeries<QueueTally, QueueSums>(QUEUE_SERIES_MAX, { queue: OTHER }, () => new QueueTally());
  readonly subscribers = new CappedSeries<SubscriptionTally, SubscriberSums>(SUBSCRIBER_SERIES_MAX, { queue: OTHER, subscriber: OTHER }, () => new SubscriptionTally());
  /** Names of the subscribers by queue that have a series of their own. */
  private readonly named = new Map<string, Set<string>>();

  queue(queue: string): QueueTally {
    return this.queues.series(queue, { queue }).tally;
  }

  subscriber(queue: string, subscriber: string): SubscriptionTally {
    const label = subscriber === "" ? EPHEMERAL : subscriber;
    const name = seriesName(queue, label);
    const { tally } = this.subscribers.series(name, this.queues.hasOwn(queue) ? { queue, subscriber: label } : undefined);
    if (this.subscribers.hasOwn(name)) this.namesOf(queue).add(name);
    return tally;
  }

  forgetQueue(queue: string): void {
    this.queues.forget(queue);
    for (const name of this.named.get(queue) ?? []) this.subscribers.forget(name);
    this.named.delete(queue);
  }

  forgetSubscriber(queue: string, subscriber: string): void {
    const name = seriesName(queue, subscriber);
    this.subscribers.forget(name);
    this.named.get(queue)?.delete(name);
  }

  /** Takes down how everything stands, in slices. */
  async look(view: BrokerView, turns: Turns): Promise<void> {
    this.queues.clearSums();
    this.subscribers.clearSums();
    let looks = 0;
    for (const queue of view.views()) {
      const series = this.queues.find(queue.name);
      if (series !== undefined) add((series.sums ??= freshQueueSums()), queue);
      for (const subscriber of queue.subscribers()) {
        const found = this.subscribers.find(seriesName(queue.name, subscriber.name));
        if (found !== undefined) add((found.sums ??= freshSubscriberSums()), subscriber);
        if (++looks % LOOKS_AT_ONCE === 0) await nextTurn(turns);
      }
      if (++looks % LOOKS_AT_ONCE === 0) await nextTurn(turns);
    }
  }

  private namesOf(queue: string): Set<string> {
    let names = this.named.get(queue);
    if (names === undefined) this.named.set(queue, (names = new Set()));
    return names;
  }
}

/** Lets whatever else is ready go first. */
export function nextTurn(turns: Turns): Promise<void> {
  return new Promise((resolve) => {
    turns.next(resolve);
  });
}

function freshQueueSums(): QueueSums {
  return { headOffset: 0, firstOffset: 0, messages: 0, bytes: 0, openBatchBytes: 0, subscriberCount: 0, clientCount: 0, scheduledCount: 0 };
}

function freshSubscriberSums(): SubscriberSums {
  return { committedOffset: 0, lag: 0, backlogCount: 0, inFlightCount: 0, waitingRetryCount: 0, deadLetterCount: 0, clientCount: 0 };
}

function add<Key extends string>(sums: Record<Key, number>, view: Readonly<Record<NoInfer<Key>, number>>): void {
  for (const key in sums) sums[key] += view[key];
}

/** Neither name can hold a line break. */
function seriesName(queue: string, subscriber: string): string {
  return `${queue}\n${subscriber}`;
}
