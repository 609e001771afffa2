import { expect } from "chai";
import { CreateQueueRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { NewMessage } from "../../generated/tidemark/v1/message.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import { OpenSession } from "../../generated/tidemark/v1/subscribe.js";
import { MeasuredServer } from "./measured-server.js";
import { answer, payload, Stubs } from "./stubs.js";
import type { SubscribeStream } from "./subscribe-stream.js";

/** Calls that are made at once. */
const AT_ONCE = 50;
const BATCH = 1_000;
/** Of the largest batches: what the broker lets wait. */
const BATCHES_AT_ONCE = 4;
const PAYLOAD = payload("x".repeat(100));
const STREAMS_A_CONNECTION = 900;
const MAX_UNSETTLED = 1_000_000;
/** No message comes. */
export const PAUSED = { maxMessages: 1, maxBytes: 1n, paused: true };

/** A server, and what a test keeps open at it. */
export class MemoryBench {
  private readonly crowd: Stubs[] = [];
  private readonly streams: SubscribeStream[] = [];

  private constructor(
    private readonly server: MeasuredServer,
    readonly stubs: Stubs,
  ) {}

  static async start(): Promise<MemoryBench> {
    const server = await MeasuredServer.start();
    const stubs = new Stubs(server.address);
    await stubs.ready();
    return new MemoryBench(server, stubs);
  }

  get address(): string {
    return this.server.address;
  }

  memory(): ReturnType<MeasuredServer["memory"]> {
    return this.server.memory();
  }

  async end(): Promise<void> {
    for (const stubs of [...this.crowd, this.stubs]) stubs.close();
    await this.server.end();
  }

  /** What one more costs, once there are `few`: the rest of the server, and what it makes once, is in both looks. */
  async bytesEach(few: number, many: number, grow: (from: number, to: number) => Promise<void>): Promise<number> {
    await grow(0, few);
    const before = await this.memory();
    await grow(few, many);
    const after = await this.memory();
    return (after.heldBytes - before.heldBytes) / (many - few);
  }

  async createQueue(name: string, ordering = Ordering.UNORDERED): Promise<void> {
    const subscriberDefaults = SubscriberSettings.create({ maxUnsettled: MAX_UNSETTLED });
    await answer((done) => this.stubs.admin.createQueue(CreateQueueRequest.create({ queue: Queue.create({ name, ordering, subscriberDefaults }) }), done));
  }

  /** Publishes messages `from` to `to`, by their number. */
  async publish(queue: string, from: number, to: number, message: (i: number) => Partial<NewMessage> = () => ({})): Promise<void> {
    let next = from;
    const publisher = async (): Promise<void> => {
      while (next < to) {
        const first = next;
        next = Math.min(to, first + BATCH);
        const batch = Array.from({ length: next - first }, (_, i) => ({ event: "order.created", body: PAYLOAD, ...message(first + i) }));
        await this.stubs.publishBatch(queue, batch);
      }
    };
    await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, publisher));
  }

  /** An open stream, on a connection that it shares with others. */
  async open(queue: string, subscriber: string, settings: Partial<OpenSession> = {}): Promise<SubscribeStream> {
    if (this.streams.length % STREAMS_A_CONNECTION === 0) {
      const stubs = new Stubs(this.address);
      this.crowd.push(stubs);
      await stubs.ready();
    }
    const stream = this.crowd[this.crowd.length - 1]!.subscribe({ ...OpenSession.create(), queue, subscriber, ...settings });
    this.streams.push(stream);
    await stream.next("opened");
    return stream;
  }
}

/** Does something for each number, some at a time. */
export async function forEach(from: number, to: number, work: (i: number) => Promise<unknown>): Promise<void> {
  for (let first = from; first < to; first += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, to - first) }, (_, i) => work(first + i)));
  }
}

/** A window of so many messages. */
export function windowOf(maxMessages: number): NonNullable<OpenSession["flow"]> {
  return { maxMessages, maxBytes: 64n * 1024n * 1024n, paused: false };
}

/** Below a third of what is documented, the document is not true either. */
const PESSIMISM_MAX = 3;

/** `bytes` is what the table says, or less, and not much less. */
export function expectDocumented(documented: number, bytes: number): void {
  expect(bytes, "bytes each").to.be.at.most(documented);
  expect(bytes, `bytes each; docs/limits.md says ${documented}`).to.be.at.least(documented / PESSIMISM_MAX);
}
