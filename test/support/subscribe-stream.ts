import type { ClientDuplexStream, ServiceError, StatusObject } from "@grpc/grpc-js";
import type { BrokerServiceClient } from "../../generated/tidemark/v1/broker_service.js";
import { OpenSession, Settlement, SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import type { DeliveryCause, SettleResult, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import { within } from "./condition.js";

type Frame = NonNullable<SubscribeResponse["frame"]>;
type FrameCase = Frame["$case"];
type FrameValue<K extends FrameCase> = Extract<Frame, { readonly $case: K }>["value"];

const DEADLINE_MS = 10_000;

/** One message as it came, with what its batch says about it. */
export interface ReceivedMessage {
  readonly offset: bigint;
  readonly event: string;
  readonly payload: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly messageId: string;
  readonly originOffset: bigint;
  readonly batchId: bigint;
  readonly attempt: number;
  readonly deliveryCount: number;
  readonly cause: DeliveryCause;
}

/** A Subscribe stream spoken frame by frame through the generated stub, without a client library in between. */
export class SubscribeStream {
  /** The status that the stream ended with, also when it ended well. */
  readonly ended: Promise<StatusObject>;
  private readonly call: ClientDuplexStream<SubscribeRequest, SubscribeResponse>;
  private readonly frames: Frame[] = [];
  private readonly messages: ReceivedMessage[] = [];
  private readonly wakes: (() => void)[] = [];
  private lastRequestId = 0n;

  constructor(client: BrokerServiceClient, open: Partial<OpenSession>) {
    this.call = client.subscribe();
    this.ended = new Promise((resolve) => {
      this.call.on("status", resolve);
    });
    // The status event says the same; without a listener an error would end the process.
    this.call.on("error", (_error: ServiceError) => undefined);
    this.call.on("data", (response: SubscribeResponse) => {
      this.take(response);
    });
    this.send({ $case: "open", value: { ...OpenSession.create(), ...open } });
  }

  /** Sends a frame without an answer of its own, or one whose answer the caller looks for. */
  send(frame: NonNullable<SubscribeRequest["frame"]>, requestId = 0n): void {
    this.call.write(SubscribeRequest.create({ requestId, frame }));
  }

  /** The next frame of a kind, whichever others come between. Deliveries are taken with `receive`. */
  async next<K extends Exclude<FrameCase, "deliveries">>(kind: K): Promise<FrameValue<K>> {
    return this.waitFor(`a frame ${kind}`, () => {
      const at = this.frames.findIndex((frame) => frame.$case === kind);
      if (at === -1) return undefined;
      const [frame] = this.frames.splice(at, 1);
      return frame?.value as FrameValue<K>;
    });
  }

  /** The next `count` messages, from however many batches. */
  async receive(count: number): Promise<ReceivedMessage[]> {
    return this.waitFor(`${count} messages`, () => (this.messages.length >= count ? this.messages.splice(0, count) : undefined));
  }

  /** Messages that came and were not taken by `receive`. */
  get waiting(): readonly ReceivedMessage[] {
    return this.messages;
  }

  /** Acks these messages, one range a message, and waits until that is durable. */
  async ack(messages: readonly ReceivedMessage[]): Promise<SettleResult> {
    return this.settle({ acks: messages.map(({ offset, batchId }) => ({ first: offset, last: offset, batchId })) });
  }

  /** Sends a settle and waits for its result. */
  async settle(settlement: Partial<Settlement>): Promise<SettleResult> {
    const requestId = ++this.lastRequestId;
    this.send({ $case: "settle", value: { ...Settlement.create(), ...settlement } }, requestId);
    return this.waitFor(`the result of settle ${requestId}`, () => {
      const at = this.frames.findIndex((frame) => frame.$case === "result" && frame.value.requestIds.includes(requestId));
      if (at === -1) return undefined;
      const [frame] = this.frames.splice(at, 1);
      return frame?.value as SettleResult;
    });
  }

  /** Says that nothing more will be sent, and waits for the server to end the stream. */
  async halfClose(): Promise<StatusObject> {
    this.call.end();
    return within("the stream ends after half-close", DEADLINE_MS, this.ended);
  }

  /** Breaks the stream, as a client that dies. */
  async cancel(): Promise<void> {
    this.call.cancel();
    await within("the cancelled stream ends", DEADLINE_MS, this.ended);
  }

  private take(response: SubscribeResponse): void {
    const { frame } = response;
    if (frame?.$case === "deliveries") {
      const { messages, batchId, attempt, deliveryCount, cause } = frame.value;
      for (const { offset, event, payload, headers, messageId, originOffset } of messages) {
        this.messages.push({ offset, event, payload: Buffer.from(payload), headers, messageId, originOffset, batchId, attempt, deliveryCount, cause });
      }
    } else if (frame !== undefined) {
      this.frames.push(frame);
    }
    for (const wake of this.wakes.splice(0)) wake();
  }

  private async waitFor<T>(what: string, find: () => T | undefined): Promise<T> {
    const found = async (): Promise<T> => {
      for (;;) {
        const answer = find();
        if (answer !== undefined) return answer;
        await new Promise<void>((resolve) => {
          this.wakes.push(resolve);
        });
      }
    };
    const over = this.ended.then(({ code, details }): never => {
      throw new Error(`the stream ended with ${code} ${details} while a test waited for ${what}`);
    });
    const got = found();
    try {
      return await within(`${what} on a Subscribe stream`, DEADLINE_MS, Promise.race([got, over]));
    } finally {
      over.catch(() => undefined);
    }
  }
}
