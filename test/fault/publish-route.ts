import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { NewMessage } from "../../generated/tidemark/v1/message.js";
import { PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { PublishResult, PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import type { Stubs } from "../support/stubs.js";

/** What became of one frame of messages. */
export interface FrameAnswer {
  readonly firstOffset: number;
  readonly duplicate: boolean;
}

/** The server said no: gRPC's code and the reason. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(
    readonly code: number,
    readonly reason: string,
  ) {
    super(`refused with code ${code}: ${reason}`);
  }
}

/** One of the ways to publish: a unary call a message, a unary call a batch, or frames on a stream. */
export interface PublishRoute {
  /** Rejects with Refused or with a ServiceError. */
  send(frame: readonly NewMessage[]): Promise<FrameAnswer>;
}

export function unaryRoute(stubs: Stubs, queue: string): PublishRoute {
  return {
    async send([message]) {
      if (message === undefined) throw new Error("a frame has at least one message");
      const { offset, duplicate } = await stubs.publish(queue, message);
      return { firstOffset: Number(offset), duplicate };
    },
  };
}

export function batchRoute(stubs: Stubs, queue: string): PublishRoute {
  return {
    async send(frame) {
      const { firstOffset, duplicate } = await stubs.publishBatch(queue, frame);
      return { firstOffset: Number(firstOffset), duplicate };
    },
  };
}

interface Waiting {
  readonly resolve: (answer: FrameAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** Opens a PublishStream when there is none, and fails all that waits on it when it breaks. */
export class StreamRoute implements PublishRoute {
  private call: ClientDuplexStream<PublishStreamRequest, PublishStreamResponse> | undefined;
  private readonly waiting = new Map<bigint, Waiting>();
  private lastRequestId = 0n;

  constructor(
    private readonly stubs: Stubs,
    private readonly queue: string,
  ) {}

  send(frame: readonly NewMessage[]): Promise<FrameAnswer> {
    this.call ??= this.open();
    const { call } = this;
    const requestId = ++this.lastRequestId;
    return new Promise((resolve, reject) => {
      this.waiting.set(requestId, { resolve, reject });
      call.write(PublishStreamRequest.create({ requestId, queue: this.queue, messages: [...frame] }));
    });
  }

  close(): void {
    this.call?.end();
  }

  private open(): ClientDuplexStream<PublishStreamRequest, PublishStreamResponse> {
    const call = this.stubs.broker.publishStream();
    call.on("data", (response: PublishStreamResponse) => {
      for (const result of response.results) this.settle(result);
    });
    call.on("error", (error: Error) => {
      this.fail(call, error);
    });
    call.on("end", () => {
      this.fail(call, new Error("the server ended the stream"));
    });
    return call;
  }

  private settle(result: PublishResult): void {
    const waiting = this.waiting.get(result.requestId);
    if (waiting === undefined) throw new Error(`the server answered request ${result.requestId}, which does not wait`);
    this.waiting.delete(result.requestId);
    if (result.code === 0) waiting.resolve({ firstOffset: Number(result.firstOffset), duplicate: result.duplicate });
    else waiting.reject(new Refused(result.code, result.reason));
  }

  private fail(call: ClientDuplexStream<PublishStreamRequest, PublishStreamResponse>, error: Error): void {
    if (this.call !== call) return;
    this.call = undefined;
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of lost) reject(error);
  }
}
