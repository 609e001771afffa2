import { setMaxListeners } from "node:events";
import type { ChannelCredentials } from "@grpc/grpc-js";
import type { PullResponse } from "../../generated/tidemark/v1/pull.js";
import { Admin } from "./admin.js";
import { Connection } from "./connection.js";
import type { OutgoingMessage } from "./outgoing-message.js";
import type { Published } from "./publish-frame.js";
import { Publisher } from "./publisher.js";
import { type PullOptions, pullRequest } from "./pull-options.js";
import { Pulled } from "./pulled.js";
import { type SettledVerdicts, settleVerdicts, type Verdicts } from "./settle-call.js";
import type { SubscribeOptions } from "./subscribe-options.js";
import { Subscription } from "./subscription.js";
import { clientClosed } from "./tidemark-error.js";
import { cancelledBy, unaryCall } from "./unary-call.js";
import { type BatchOptions, publishBatch, type PublishedBatch } from "./unary-publish.js";

/** How to connect. */
export interface ConnectOptions {
  /** TLS and tokens, as grpc-js makes them. Default: insecure, for a broker on this machine. */
  readonly credentials?: ChannelCredentials;
  /** A label under which people see this client at the broker. 1 to 128 of `A-Z a-z 0-9 . _ -`. Default: none. */
  readonly clientId?: string;
  /**
   * How long a call waits for a connection before it fails with NOT_CONNECTED, and how long after `publish()` a message with an
   * id is still sent again. 0: the first failed attempt decides. Default: 30,000.
   */
  readonly patienceMs?: number;
}

const DEFAULT_PATIENCE_MS = 30_000;

/** One broker, one connection. Made by `connect`. */
export class TidemarkClient {
  /** What is on the broker, to look at and to change. */
  readonly admin: Admin;
  private readonly publisher: Publisher;
  private readonly subscriptions = new Set<Subscription>();
  private readonly patienceMs: number;
  private readonly closing = new AbortController();

  constructor(
    private readonly connection: Connection,
    private readonly options: ConnectOptions,
  ) {
    this.patienceMs = options.patienceMs ?? DEFAULT_PATIENCE_MS;
    // Each pull listens to it while it waits, and Node takes more than ten listeners for a leak.
    setMaxListeners(0, this.closing.signal);
    this.admin = new Admin(connection, this.patienceMs, this.closing.signal);
    this.publisher = new Publisher(connection, this.patienceMs);
  }

  private get closed(): boolean {
    return this.closing.signal.aborted;
  }

  /** Where the broker is, as given to `connect`. */
  get address(): string {
    return this.connection.address;
  }

  /** Resolves when the broker is reached; rejects with NOT_CONNECTED after `patienceMs`. There is no need to wait for it. */
  connected(): Promise<void> {
    return this.connection.ready(this.patienceMs);
  }

  /**
   * Publishes one message; resolves when it is durable. Calls made within one turn of the event loop travel together, so do not
   * await each before the next where throughput matters. Rejects with a TidemarkError; OUTCOME_UNKNOWN means that the connection
   * broke first, which happens to messages with a `messageId` only when sending again did not help within `patienceMs`.
   */
  publish(queue: string, message: OutgoingMessage): Promise<Published> {
    return this.publisher.publish(queue, message);
  }

  /**
   * Resolves at once while there is room, otherwise when what was published has gone out. For producers that do not await each
   * `publish()`: await this before the next, and memory stays bounded.
   */
  publishable(): Promise<void> {
    return this.publisher.ready();
  }

  /** Publishes up to 1,000 messages, all or none, at consecutive offsets. */
  publishBatch(queue: string, messages: readonly OutgoingMessage[], options: BatchOptions = {}): Promise<PublishedBatch> {
    if (this.closed) return Promise.reject(clientClosed());
    return publishBatch(this.connection, this.patienceMs, queue, messages, options);
  }

  /**
   * Subscribes to a queue. The stream opens when iteration starts, reconnects by itself, and is closed when the loop is left.
   *
   *     for await (const delivery of client.subscribe("orders", { subscriber: "billing" })) {
   *       await handle(delivery.payload);
   *       delivery.ack();
   *     }
   */
  subscribe(queue: string, options: SubscribeOptions = {}): Subscription {
    if (this.closed) throw clientClosed();
    const subscription = new Subscription(this.connection, queue, this.options.clientId ?? "", options, (over) => this.subscriptions.delete(over));
    this.subscriptions.add(subscription);
    return subscription;
  }

  /**
   * Leases messages without staying connected: for jobs that come and go. Settle its deliveries, then wait for `settled()`.
   *
   *     const pulled = await client.pull("orders", { subscriber: "nightly", waitMs: 10_000 });
   *     for (const delivery of pulled.deliveries) {
   *       await handle(delivery.payload);
   *       delivery.ack();
   *     }
   *     await pulled.settled();
   */
  async pull(queue: string, options: PullOptions): Promise<Pulled> {
    if (this.closed) throw clientClosed();
    const request = pullRequest(queue, this.options.clientId ?? "", options);
    const leaving = options.signal === undefined ? this.closing.signal : AbortSignal.any([this.closing.signal, options.signal]);
    const response = await unaryCall<PullResponse>(this.connection, this.patienceMs, (callback) => cancelledBy(leaving, this.connection.broker.pull(request, callback)));
    return new Pulled(this.connection, this.patienceMs, response);
  }

  /** Gives verdicts on what any session holds, that of a pull or of a stream, and waits until they are durable. Repeating it is safe. */
  async settle(sessionId: string, verdicts: Verdicts): Promise<SettledVerdicts> {
    if (this.closed) throw clientClosed();
    return settleVerdicts(this.connection, this.patienceMs, sessionId, verdicts);
  }

  /** Closes all subscriptions and watches, cancels pulls that wait, waits for what was published, then disconnects. Takes 10 s at most. Safe to call again. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closing.abort();
    await Promise.all([...this.subscriptions].map((subscription) => subscription.close()));
    await this.publisher.close();
    this.connection.close();
  }
}

/**
 * A client for the broker at `address`, such as "127.0.0.1:50051". Connects when it is first used, and again after a break.
 *
 * @param address host and port, or any target that grpc-js resolves
 */
export function connect(address: string, options: ConnectOptions = {}): TidemarkClient {
  return new TidemarkClient(new Connection(address, options.credentials), options);
}
