import { connect } from "../../src/client/index.js";
import type { SubscribeOptions, Subscription, TidemarkClient } from "../../src/client/index.js";

const PAYLOAD = Buffer.alloc(128, "x");
const EVENT = "bench.published";
const FILL_AT_ONCE = 1_000;
const FILLS_IN_FLIGHT = 16;
const MESSAGES_A_QUEUE = 100;
/** Open streams a connection: fewer than what a server allows. */
const STREAMS_A_CONNECTION = 900;
const OPENINGS_AT_ONCE = 20;

/** Along what things grow. */
export interface Axis {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly survivesRestart: boolean;
  /** Which queue the probe publishes to and reads from, and from where: what has grown is in its way. */
  readonly probeQueue: string;
  readonly probeFrom: "earliest" | "latest";
  /** Brings the server from one size to the next. Who has to stay connected is added to `held`. */
  grow(client: TidemarkClient, from: number, to: number, held: TidemarkClient[]): Promise<void>;
}

export const AXES: readonly Axis[] = [
  {
    name: "messages of backlog",
    sizes: [1_000, 100_000, 1_000_000, 10_000_000],
    survivesRestart: true,
    probeQueue: "backlog",
    probeFrom: "earliest",
    async grow(client, from, to) {
      if (from === 0) await makeSubscriber(client, "backlog", "asleep", "earliest");
      await fill(client, "backlog", to - from);
    },
  },
  {
    name: "queues",
    sizes: [1, 10, 100, 1_000],
    survivesRestart: true,
    probeQueue: "queue-0",
    probeFrom: "latest",
    async grow(client, from, to) {
      for (let i = from; i < to; i++) await fill(client, `queue-${i}`, MESSAGES_A_QUEUE);
    },
  },
  {
    name: "sleeping subscribers",
    sizes: [1, 10, 100, 1_000],
    survivesRestart: true,
    probeQueue: "sleepers",
    probeFrom: "latest",
    async grow(client, from, to) {
      for (let i = from; i < to; i++) await makeSubscriber(client, "sleepers", `sleeper-${i}`, "earliest");
    },
  },
  {
    name: "open streams",
    sizes: [1, 100, 1_000, 10_000],
    survivesRestart: false,
    probeQueue: "streams",
    probeFrom: "latest",
    async grow(client, from, to, held) {
      for (let first = from; first < to; first += OPENINGS_AT_ONCE) {
        if (held.length * STREAMS_A_CONNECTION < Math.min(to, first + OPENINGS_AT_ONCE)) held.push(connect(client.address));
        const holder = held[held.length - 1] ?? client;
        const count = Math.min(OPENINGS_AT_ONCE, to - first);
        await Promise.all(Array.from({ length: count }, (_, i) => openSubscription(holder, "idle", { subscriber: `stream-${first + i}` })));
      }
    },
  },
];

/** A subscriber that exists and is not there. */
export async function makeSubscriber(client: TidemarkClient, queue: string, subscriber: string, from: "earliest" | "latest"): Promise<void> {
  const subscription = await openSubscription(client, queue, { subscriber, from, maxInFlightMessages: 1 });
  await subscription.close();
}

/** Batches of a thousand, some at once. */
export async function fill(client: TidemarkClient, queue: string, count: number): Promise<void> {
  const messages = Array.from({ length: FILL_AT_ONCE }, () => ({ event: EVENT, payload: PAYLOAD }));
  let left = count;
  const filler = async (): Promise<void> => {
    while (left > 0) {
      const some = Math.min(left, FILL_AT_ONCE);
      left -= some;
      await client.publishBatch(queue, some === FILL_AT_ONCE ? messages : messages.slice(0, some));
    }
  };
  await Promise.all(Array.from({ length: FILLS_IN_FLIGHT }, filler));
}

/** Resolves when the broker has opened it. */
function openSubscription(client: TidemarkClient, queue: string, options: SubscribeOptions): Promise<Subscription> {
  return new Promise((resolve, reject) => {
    const subscription: Subscription = client.subscribe(queue, {
      ...options,
      onEvent: ({ type }) => {
        if (type === "opened") resolve(subscription);
      },
    });
    subscription.next().catch(reject);
  });
}
