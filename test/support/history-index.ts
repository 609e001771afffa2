import type { Delivered, HistoryEvent } from "./history.js";

/** One message as its publisher and its subscribers saw it. */
export interface MessageHistory {
  readonly key: string;
  readonly event: string;
  readonly messageId: string;
  readonly lane: string;
  readonly firstSentAt: number;
  sends: number;
  refusals: number;
  readonly answers: { readonly at: number; readonly offset: number; readonly duplicate: boolean }[];
  readonly deliveredAt: Set<number>;
}

export interface SubscriberHistory {
  readonly name: string;
  readonly events: readonly string[];
  /** Place of the first `opened`: from here on it exists for certain. */
  createdAt: number | undefined;
  readonly receivedKeys: Set<string>;
}

/** A history with its names resolved, so that the rules need not look backwards. */
export class HistoryIndex {
  readonly messages = new Map<string, MessageHistory>();
  readonly subscribers = new Map<string, SubscriberHistory>();
  /** Keys seen at an offset, in answers or deliveries; more than one is a violation of its own. */
  readonly keysAt = new Map<number, Set<string>>();
  private readonly subscriberOfSession = new Map<string, SubscriberHistory>();

  constructor(readonly history: readonly HistoryEvent[]) {
    history.forEach((event, at) => {
      this.add(event, at);
    });
  }

  subscriberOf(session: string): SubscriberHistory {
    const subscriber = this.subscriberOfSession.get(session);
    if (subscriber === undefined) throw new Error(`session ${session} was never opened in this history`);
    return subscriber;
  }

  /** Offsets that are known to hold a message which this subscriber's filter takes, ascending. */
  matchingOffsets(subscriber: SubscriberHistory): number[] {
    const offsets: number[] = [];
    for (const [offset, keys] of this.keysAt) {
      for (const key of keys) {
        const message = this.messages.get(key);
        if (message !== undefined && filterTakes(subscriber.events, message.event)) {
          offsets.push(offset);
          break;
        }
      }
    }
    return offsets.sort((a, b) => a - b);
  }

  /** The ordering key of the message at an offset; empty: it has none. */
  laneAt(offset: number): string {
    const [key = ""] = this.keysAt.get(offset) ?? [];
    return this.messages.get(key)?.lane ?? "";
  }

  private add(event: HistoryEvent, at: number): void {
    switch (event.type) {
      case "publish_sent": {
        const known = this.messages.get(event.key);
        if (known !== undefined) known.sends++;
        else {
          const { key, event: name, messageId, lane = "" } = event;
          this.messages.set(key, { key, event: name, messageId, lane, firstSentAt: at, sends: 1, refusals: 0, answers: [], deliveredAt: new Set() });
        }
        break;
      }
      case "publish_answered":
        this.messages.get(event.key)?.answers.push({ at, offset: event.offset, duplicate: event.duplicate });
        this.place(event.offset, event.key);
        break;
      case "publish_refused": {
        const message = this.messages.get(event.key);
        if (message !== undefined) message.refusals++;
        break;
      }
      case "open_sent":
        this.subscriberOfSession.set(event.session, this.subscriber(event.subscriber, event.events));
        break;
      case "opened":
        this.subscriberOf(event.session).createdAt ??= at;
        break;
      case "delivered":
        this.addDelivery(event);
        break;
      default:
        break;
    }
  }

  private addDelivery(event: Delivered): void {
    this.messages.get(event.key)?.deliveredAt.add(event.offset);
    this.subscriberOf(event.session).receivedKeys.add(event.key);
    this.place(event.offset, event.key);
  }

  private subscriber(name: string, events: readonly string[]): SubscriberHistory {
    let subscriber = this.subscribers.get(name);
    if (subscriber === undefined) {
      subscriber = { name, events, createdAt: undefined, receivedKeys: new Set() };
      this.subscribers.set(name, subscriber);
    }
    return subscriber;
  }

  private place(offset: number, key: string): void {
    const keys = this.keysAt.get(offset);
    if (keys === undefined) this.keysAt.set(offset, new Set([key]));
    else keys.add(key);
  }
}

/** The contract's filter rule, written a second time on purpose: the checker must not believe the server's own. */
export function filterTakes(patterns: readonly string[], event: string): boolean {
  if (patterns.length === 0) return true;
  return patterns.some((pattern) => {
    const source = pattern
      .split(".")
      .map((token) => (token === "**" ? "[^.]+(?:\\.[^.]+)*" : token === "*" ? "[^.]+" : token))
      .join("\\.");
    return new RegExp(`^${source}$`).test(event);
  });
}
