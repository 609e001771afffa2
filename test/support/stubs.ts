import { credentials, type ServiceError } from "@grpc/grpc-js";
import { AdminServiceClient, CreateQueueRequest } from "../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceClient } from "../../generated/tidemark/v1/broker_service.js";
import { NewMessage } from "../../generated/tidemark/v1/message.js";
import { PublishBatchRequest, PublishRequest } from "../../generated/tidemark/v1/publish.js";
import type { PublishBatchResponse, PublishResponse } from "../../generated/tidemark/v1/publish.js";
import { PullRequest } from "../../generated/tidemark/v1/pull.js";
import type { PullResponse, SettleResponse } from "../../generated/tidemark/v1/pull.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { Settlement } from "../../generated/tidemark/v1/subscribe.js";
import type { OpenSession, SettleResult } from "../../generated/tidemark/v1/subscribe.js";
import type { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import { SubscribeStream } from "./subscribe-stream.js";

const DEADLINE_MS = 10_000;

/** The generated stubs on one connection, with promises for the unary calls. No client library of ours in between. */
export class Stubs {
  readonly broker: BrokerServiceClient;
  readonly admin: AdminServiceClient;

  constructor(address: string) {
    const options = { "grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0, "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 300 };
    this.broker = new BrokerServiceClient(address, credentials.createInsecure(), options);
    this.admin = new AdminServiceClient(address, credentials.createInsecure(), options);
  }

  publish(queue: string, message: Partial<NewMessage>): Promise<PublishResponse> {
    const request = PublishRequest.create({ queue, message: NewMessage.create(message as NewMessage) });
    return answer((callback) => this.broker.publish(request, callback));
  }

  publishBatch(queue: string, messages: readonly Partial<NewMessage>[]): Promise<PublishBatchResponse> {
    const request = PublishBatchRequest.create({ queue, messages: messages.map((message) => NewMessage.create(message as NewMessage)) });
    return answer((callback) => this.broker.publishBatch(request, callback));
  }

  pull(request: Partial<PullRequest>): Promise<PullResponse> {
    return answer((callback) => this.broker.pull({ ...PullRequest.create(), ...request }, callback));
  }

  /** Verdicts without a stream; answers what could not be applied. */
  async settle(sessionId: string, verdicts: Partial<Settlement>): Promise<SettleResult> {
    const { result } = await answer<SettleResponse>((callback) => this.broker.settle({ sessionId, settle: { ...Settlement.create(), ...verdicts } }, callback));
    if (result === undefined) throw new Error("the answer to a settle is empty");
    return result;
  }

  subscribe(open: Partial<OpenSession>): SubscribeStream {
    return new SubscribeStream(this.broker, open);
  }

  /** Messages of one ordering key come one after the other. */
  async createOrderedQueue(name: string): Promise<void> {
    const request = CreateQueueRequest.create({ queue: Queue.create({ name, ordering: Ordering.ORDERED }) });
    await answer((callback) => this.admin.createQueue(request, callback));
  }

  async queue(queue: string): Promise<Queue> {
    const { queue: found } = await answer<{ queue: Queue | undefined }>((callback) => this.admin.getQueue({ queue }, callback));
    if (found === undefined) throw new Error(`the answer about queue ${queue} is empty`);
    return found;
  }

  async subscriber(queue: string, subscriber: string): Promise<Subscriber> {
    const { subscriber: found } = await answer<{ subscriber: Subscriber | undefined }>((callback) => this.admin.getSubscriber({ queue, subscriber }, callback));
    if (found === undefined) throw new Error(`the answer about subscriber ${subscriber} is empty`);
    return found;
  }

  /** Waits for the connection, so that a first call does not race with a server that starts. */
  ready(deadlineMs = DEADLINE_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      this.broker.waitForReady(Date.now() + deadlineMs, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  close(): void {
    this.broker.close();
    this.admin.close();
  }
}

/** A unary call as a promise; what it rejects with is the ServiceError. */
export function answer<T>(call: (callback: (error: ServiceError | null, response: T) => void) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

/** The body of a new message as text, sent as the bytes that are stored. */
export function payload(text: string): NewMessage["body"] {
  return { $case: "payload", value: Buffer.from(text) };
}
