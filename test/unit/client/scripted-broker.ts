import { Server, ServerCredentials, type ServerDuplexStream, type ServiceError, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { AdminServiceService } from "../../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceService } from "../../../generated/tidemark/v1/broker_service.js";
import type { PublishResult, PublishStreamRequest, PublishStreamResponse } from "../../../generated/tidemark/v1/publish.js";
import { Durability } from "../../../generated/tidemark/v1/message.js";
import {
  DeliveryCause,
  type Settlement,
  type SettleFailure,
  SettleFailureCode,
  type SubscribeRequest,
  type SubscribeResponse,
} from "../../../generated/tidemark/v1/subscribe.js";
import { until as untilWithin } from "../../support/condition.js";
import { type Delivery, TidemarkError } from "../../../src/client/index.js";

export type SubscribeCall = ServerDuplexStream<SubscribeRequest, SubscribeResponse>;
export type PublishCall = ServerDuplexStream<PublishStreamRequest, PublishStreamResponse>;

/** A server that speaks the contract and does as the test says: what a real broker does only on a bad day. */
export class ScriptedBroker {
  private server = new Server();
  private port = 0;
  /** Every frame that came over a Subscribe stream, in order. */
  readonly heard: SubscribeRequest[] = [];
  /** Every frame that came over a PublishStream, in order. */
  readonly published: PublishStreamRequest[] = [];
  onSubscribe: (call: SubscribeCall, session: number) => void = () => undefined;
  onPublish: (frame: PublishStreamRequest, call: PublishCall) => void = () => undefined;
  /** What answers calls of the AdminService; any other is UNIMPLEMENTED. Set before `start`. */
  admin: UntypedServiceImplementation = {};
  private sessions = 0;

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Listens on a free port, at a restart on the same one as before. */
  async start(): Promise<void> {
    this.server = new Server();
    const handlers: UntypedServiceImplementation = {
      publish: unimplemented,
      publishBatch: unimplemented,
      pull: unimplemented,
      settle: unimplemented,
      publishStream: (call: PublishCall) => {
        call.on("error", () => call.end());
        call.on("end", () => call.end());
        call.on("data", (frame: PublishStreamRequest) => {
          this.published.push(frame);
          this.onPublish(frame, call);
        });
      },
      subscribe: (call: SubscribeCall) => {
        call.on("error", () => call.end());
        call.on("data", (frame: SubscribeRequest) => this.heard.push(frame));
        this.onSubscribe(call, ++this.sessions);
      },
    };
    this.server.addService(BrokerServiceService, handlers);
    this.server.addService(AdminServiceService, this.admin);
    this.port = await new Promise<number>((resolve, reject) => {
      this.server.bindAsync(this.address, ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
    });
  }

  /** Cuts every connection. */
  stop(): void {
    this.server.forceShutdown();
  }
}

function unimplemented(_call: unknown, callback: (error: Partial<ServiceError>) => void): void {
  callback({ code: status.UNIMPLEMENTED, details: "not part of this script" });
}

/** An answer that stores a frame's messages from `firstOffset` on. */
export function stored(frame: PublishStreamRequest, firstOffset: number): { results: PublishResult[] } {
  return {
    results: [
      {
        requestId: frame.requestId,
        firstOffset: BigInt(firstOffset),
        duplicate: false,
        code: 0,
        reason: "",
        detail: "",
        retryAfter: undefined,
        publishTime: undefined,
        unmatchedCount: 0,
        outcomes: [],
      },
    ],
  };
}

export function opened(
  fields: { ackTimeoutMs?: number; heartbeatMs?: number; committedOffset?: number; ordered?: boolean; sessionId?: string; queueId?: string; capabilities?: string[] } = {},
): SubscribeResponse {
  const { ackTimeoutMs = 60_000, heartbeatMs = 15_000, committedOffset = 0, ordered = false, sessionId = "s1", queueId = "q1", capabilities = [] } = fields;
  const duration = (ms: number) => ({ seconds: BigInt(Math.trunc(ms / 1_000)), nanos: (ms % 1_000) * 1e6 });
  return {
    frame: {
      $case: "opened",
      value: {
        sessionId,
        queueId,
        committedOffset: BigInt(committedOffset),
        headOffset: 0n,
        backlogCount: 0n,
        deadLetterCount: 0n,
        ordered,
        ackTimeout: duration(ackTimeoutMs),
        heartbeat: duration(heartbeatMs),
        flow: undefined,
        events: [],
        maxAttempts: 10,
        created: true,
        standby: false,
        capabilities,
        maxMessageBytes: 0n,
        maxUnsettledCount: 0n,
      },
    },
  };
}

/** @param keyOf the ordering key of an offset; default: none */
export function deliveries(batchId: number, offsets: readonly number[], keyOf: (offset: number) => string = () => ""): SubscribeResponse {
  const messages = offsets.map((offset) => ({
    offset: BigInt(offset),
    event: "order.created",
    payload: Buffer.from(`#${offset}`),
    headers: {},
    messageId: "",
    orderingKey: keyOf(offset),
    publishTime: undefined,
    expireTime: undefined,
    originOffset: 0n,
    text: "",
  }));
  return {
    frame: {
      $case: "deliveries",
      value: { messages, batchId: BigInt(batchId), attempt: 1, cause: DeliveryCause.NEW, lease: undefined, backlogCount: 0n, lastReason: "", deliveryCount: 1 },
    },
  };
}

export function settleResult(requestIds: readonly bigint[], failures: readonly SettleFailure[]): SubscribeResponse {
  return { frame: { $case: "result", value: { requestIds: [...requestIds], failures: [...failures], committedOffset: 0n, durability: Durability.FSYNC } } };
}

export function leaseLost(requestId: bigint, first: number, last: number, batchId: number): SettleFailure {
  return { requestId, range: { first: BigInt(first), last: BigInt(last), batchId: BigInt(batchId) }, code: SettleFailureCode.LEASE_LOST };
}

export function recall(first: number, last: number, batchId: number): SubscribeResponse {
  const range = { first: BigInt(first), last: BigInt(last), batchId: BigInt(batchId) };
  return { frame: { $case: "recall", value: { ranges: [range], cause: DeliveryCause.RETRY } } };
}

export function notice(reason: string): SubscribeResponse {
  return { frame: { $case: "notice", value: { reason, detail: "", range: undefined } } };
}

export function settles(heard: readonly SubscribeRequest[]): { requestId: bigint; settle: Settlement }[] {
  return heard.flatMap(({ requestId, frame }) => (frame?.$case === "settle" ? [{ requestId, settle: frame.value }] : []));
}

export function ackRanges(heard: readonly SubscribeRequest[]): string[] {
  return settles(heard).flatMap(({ settle }) => settle.acks.map((range) => `${range.first}-${range.last}@${range.batchId}`));
}

export function extensions(heard: readonly SubscribeRequest[]): number {
  return settles(heard).filter(({ settle }) => settle.extendAll !== undefined).length;
}

export async function take(source: AsyncIterator<Delivery>, count: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const result = await source.next();
    if (result.done === true) throw new Error(`the subscription ended after ${taken.length} deliveries`);
    taken.push(result.value);
  }
  return taken;
}

export async function failureOf(promise: Promise<unknown>): Promise<TidemarkError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TidemarkError) return error;
    throw error;
  }
  throw new Error("it should have failed");
}

/** Waits until `condition` holds, for 5 s at most. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  await untilWithin(what, 5_000, condition);
}
