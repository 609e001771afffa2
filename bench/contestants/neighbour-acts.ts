import { setTimeout as delay } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { BrokerServiceClient } from "../../generated/tidemark/v1/broker_service.js";
import { OpenSession, SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import type { OutgoingMessage, TidemarkClient } from "../../src/client/index.js";
import { publishWhile } from "../measures/publish.js";
import { BACKLOG, EVENT, fill, MODEST, PAYLOAD } from "./fairness-queues.js";
import { topicOf } from "./tidemark.js";

/** What an act has to work with. */
export interface Stage {
  readonly client: TidemarkClient;
  readonly address: string;
  /** How much of a processor to keep busy. */
  readonly share: number;
}

/** Something that costs a broker much. */
export interface Act {
  /** Brings about what it needs; nothing of it is measured. */
  prepare(): Promise<void>;
  start(): void;
  /** Resolves when it is over. */
  stop(): Promise<void>;
}

const LARGE_PAYLOAD = Buffer.alloc(64 * 1024, "x");
const BACKLOG_MESSAGES = 1_000_000;
const REMOVED_MESSAGES = 250_000;
const SMALL_CHUNK_QUEUES = 32;
const SMALL_CHUNKS_EACH = 1_000;
const IDS = 300_000;
const IDS_WINDOW_MS = 1_000;
const LANES = 100_000;
const FULL_WINDOW = { maxMessages: 100_000, maxBytes: BigInt(64 * 1024 * 1024), paused: false };
const NEVER_READING = 5;
const BUSY_SLICE_MS = 10;

const ACTS: Readonly<Record<string, (stage: Stage) => Act>> = {
  "a processor kept busy": ({ share }) => lasting((goesOn) => keepBusy(share, goesOn)),
  "a greedy publisher": ({ client }) => greedy(client, PAYLOAD),
  "a greedy publisher of 64 KiB": ({ client }) => greedy(client, LARGE_PAYLOAD),
  "catching up on a million": ({ client }) => lasting((goesOn) => catchUp(client, goesOn)),
  "never-reading subscribers": ({ address }) => neverReading(address),
  "purging 32,000 chunks": ({ client }) => massRemoval(client, "purged", (queue) => client.admin.purgeQueue(queue)),
  "deleting 32,000 chunks": ({ client }) => massRemoval(client, "dropped", (queue) => client.admin.deleteQueue(queue)),
  "retention dropping a million": ({ client }) => retentionDrops(client),
  "ids leaving the window": ({ client }) => idsExpire(client),
  "a session of 100,000 lanes ends": ({ client, address }) => lanesEnd(client, address),
};

/** What there is, by name. */
export function actOf(name: string, stage: Stage): Act {
  const make = ACTS[name];
  if (make === undefined) throw new Error(`there is no act ${name}`);
  return make(stage);
}

/** Works from start to stop. */
function lasting(work: (goesOn: () => boolean) => Promise<unknown>): Act {
  let goes = false;
  let over: Promise<unknown> = Promise.resolve();
  return {
    prepare: () => Promise.resolve(),
    start() {
      goes = true;
      over = work(() => goes);
    },
    async stop() {
      goes = false;
      await over;
    },
  };
}

async function keepBusy(share: number, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const until = performance.now() + BUSY_SLICE_MS * share;
    while (performance.now() < until);
    await delay(BUSY_SLICE_MS * (1 - share));
  }
}

function greedy(client: TidemarkClient, payload: Buffer): Act {
  const topic = topicOf(client, `greedy-${payload.length}`);
  const act = lasting((goesOn) => publishWhile(topic, payload, goesOn));
  return {
    ...act,
    async stop() {
      await act.stop();
      await topic.drop();
    },
  };
}

async function catchUp(client: TidemarkClient, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    let left = BACKLOG_MESSAGES;
    for await (const delivery of client.subscribe(BACKLOG, { from: "earliest", maxInFlightMessages: 10_000 })) {
      delivery.ack();
      if (--left === 0 || !goesOn()) break;
    }
  }
}

/** On the queue with the backlog, and on the very queue that is measured. */
function neverReading(address: string): Act {
  const streams: { cancel(): void }[] = [];
  const stub = new BrokerServiceClient(address, credentials.createInsecure());
  return {
    prepare: () => Promise.resolve(),
    start() {
      for (const queue of [BACKLOG, MODEST]) for (let i = 0; i < NEVER_READING; i++) streams.push(unreadStream(stub, queue, ""));
    },
    async stop() {
      for (const stream of streams.splice(0)) stream.cancel();
      await delay(100);
    },
  };
}

function unreadStream(stub: BrokerServiceClient, queue: string, subscriber: string) {
  const stream = stub.subscribe();
  stream.on("error", () => undefined);
  const open = OpenSession.create({ queue, subscriber, start: { $case: "startAt", value: 1 }, flow: FULL_WINDOW });
  stream.write(SubscribeRequest.create({ frame: { $case: "open", value: open } }));
  return stream;
}

/** Some full chunks, and many of a message each: 32,000 in all, which could be 32 million messages. */
function massRemoval(client: TidemarkClient, name: string, remove: (queue: string) => Promise<unknown>): Act {
  const small = Array.from({ length: SMALL_CHUNK_QUEUES }, (_, i) => `${name}-${i}`);
  let over: Promise<unknown> = Promise.resolve();
  return {
    async prepare() {
      await fill(client, name, REMOVED_MESSAGES);
      await Promise.all(small.map((queue) => oneByOne(client, queue, SMALL_CHUNKS_EACH)));
    },
    start() {
      over = Promise.all([name, ...small].map(remove));
    },
    async stop() {
      await over;
    },
  };
}

/** A log that is far beyond a bound that it gets. */
function retentionDrops(client: TidemarkClient): Act {
  const queue = "bounded";
  const isLeft = async (): Promise<boolean> => (await client.admin.queue(queue)).messageCount > 1;
  let over: Promise<unknown> = Promise.resolve();
  return {
    async prepare() {
      await client.admin.createQueue(queue, { retention: "LOG" });
      await fill(client, queue, BACKLOG_MESSAGES);
    },
    start() {
      over = client.admin.updateQueue(queue, { maxMessages: 1 });
    },
    async stop() {
      await over;
      while (await isLeft()) await delay(10);
      await client.admin.deleteQueue(queue);
    },
  };
}

async function oneByOne(client: TidemarkClient, queue: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await client.publish(queue, { event: EVENT, payload: PAYLOAD });
}

function idsExpire(client: TidemarkClient): Act {
  const queue = "ids";
  let next = 0;
  const act = lasting(async (goesOn) => {
    // What is published lets go of what has left the window.
    while (goesOn()) {
      await client.publish(queue, { event: EVENT, payload: PAYLOAD, messageId: `id-${next++}` });
      await delay(10);
    }
  });
  return {
    ...act,
    async prepare() {
      await client.admin.createQueue(queue, { dedupWindowMs: IDS_WINDOW_MS, dedupIdsMax: 1_000_000 });
      await fill(client, queue, IDS, (message): OutgoingMessage => ({ ...message, messageId: `id-${next++}` }));
    },
  };
}

function lanesEnd(client: TidemarkClient, address: string): Act {
  const queue = "lanes";
  const stub = new BrokerServiceClient(address, credentials.createInsecure(), { "grpc.max_receive_message_length": -1 });
  let stream: ReturnType<typeof unreadStream> | undefined;
  let published = false;
  return {
    async prepare() {
      if (!published) {
        await client.admin.createQueue(queue, { ordered: true, maxUnsettled: 1_000_000 });
        let key = 0;
        await fill(client, queue, LANES, (message): OutgoingMessage => ({ ...message, orderingKey: `key-${key++}` }));
        published = true;
      }
      stream = unreadStream(stub, queue, "holder");
      let received = 0;
      await new Promise<void>((resolve) => {
        stream?.on("data", ({ frame }: { frame?: { $case: string; value: { messages?: readonly unknown[] } } }) => {
          if (frame?.$case === "deliveries") received += frame.value.messages?.length ?? 0;
          if (received >= LANES) resolve();
        });
      });
    },
    start() {
      stream?.cancel();
    },
    stop: () => Promise.resolve(),
  };
}
