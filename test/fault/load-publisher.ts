import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { NewMessage } from "../../generated/tidemark/v1/message.js";
import type { SeededRandom } from "../support/seeded-random.js";
import { payload, type Stubs } from "../support/stubs.js";
import { Refused, type PublishRoute } from "./publish-route.js";
import type { Recording } from "./recording.js";

const EVENTS = ["order.created", "order.paid", "order.line.added", "mail.sent", "stock.low"] as const;
const PAUSE_MS_MAX = 30;
const AFTER_FAILURE_MS = 5;
const FILLER_CHARS_MAX = 2_000;
/** How often an answered frame is sent again, as a publisher does that lost the answer. */
const AGAIN = 0.03;
/** Codes that say for certain that nothing was stored and that a retry is useless. */
const FINAL_CODES: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.NOT_FOUND,
  status.UNIMPLEMENTED,
]);

export interface LoadPublisherOptions {
  readonly name: string;
  readonly route: PublishRoute;
  readonly stubs: Stubs;
  readonly recording: Recording;
  readonly random: SeededRandom;
  /** Frames on their way at once. */
  readonly concurrency: number;
  readonly messagesPerFrame: number;
  /** Without ids nothing is sent twice: an unknown outcome stays unknown. */
  readonly withIds: boolean;
  /** Each message has one of these; the empty one is none. */
  readonly orderingKeys?: readonly [string, ...string[]];
}

/** Publishes until told to stop; sends the same frame again until it is answered. */
export class LoadPublisher {
  private lastKey = 0;
  private stopping = false;

  constructor(private readonly options: LoadPublisherOptions) {}

  /** Resolves after `stop`, when every frame has its answer. */
  async run(): Promise<void> {
    const lines = Array.from({ length: this.options.concurrency }, () => this.runLine(this.options.random.fork()));
    await Promise.all(lines);
  }

  stop(): void {
    this.stopping = true;
  }

  private async runLine(random: SeededRandom): Promise<void> {
    while (!this.stopping) {
      const frame = this.frame(random);
      const answered = await this.publish(frame);
      if (answered && this.options.withIds && random.chance(AGAIN)) await this.publish(frame);
      await delay(random.between(0, PAUSE_MS_MAX));
    }
  }

  private frame(random: SeededRandom): readonly NewMessage[] {
    const count = random.between(1, this.options.messagesPerFrame);
    return Array.from({ length: count }, () => {
      const key = `${this.options.name}-${++this.lastKey}`;
      const filler = random.chance(0.05) ? "x".repeat(random.between(1, FILLER_CHARS_MAX)) : "";
      return NewMessage.create({ event: random.pick(EVENTS), body: payload(`${key} ${filler}`), messageId: this.options.withIds ? key : "", orderingKey: random.pick(this.options.orderingKeys ?? [""]) });
    });
  }

  /** True: answered. False: given up, which only a publisher without ids does. */
  private async publish(frame: readonly NewMessage[]): Promise<boolean> {
    const { recording, route, stubs, withIds } = this.options;
    for (;;) {
      for (const message of frame) recording.add({ type: "publish_sent", key: keyOf(message), event: message.event, messageId: message.messageId, lane: message.orderingKey });
      recording.unanswered++;
      try {
        const { firstOffset, duplicate } = await route.send(frame);
        frame.forEach((message, i) => {
          recording.add({ type: "publish_answered", key: keyOf(message), offset: firstOffset + i, duplicate });
        });
        return true;
      } catch (error) {
        this.takeFailure(frame, error);
        if (!withIds) return false;
      } finally {
        recording.unanswered--;
      }
      // A new try decides whether it was long enough.
      await delay(AFTER_FAILURE_MS);
      await recording.serverIsBack(stubs);
    }
  }

  private takeFailure(frame: readonly NewMessage[], error: unknown): void {
    const code = error instanceof Refused ? error.code : (error as { readonly code?: unknown }).code;
    for (const message of frame) {
      if (typeof code === "number" && FINAL_CODES.has(code)) {
        this.options.recording.add({ type: "publish_refused", key: keyOf(message), reason: String(error) });
      } else {
        this.options.recording.add({ type: "publish_unknown", key: keyOf(message) });
      }
    }
    if (typeof code === "number" && FINAL_CODES.has(code)) throw new Error(`${this.options.name} was refused a sound message`, { cause: error });
  }
}

/** The test's own name of a message: the first word of its payload. */
export function keyOf(message: { readonly body: NewMessage["body"] }): string {
  return message.body?.$case === "payload" ? keyIn(message.body.value) : "";
}

export function keyIn(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString().split(" ", 1)[0] ?? "";
}
