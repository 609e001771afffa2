import type { Subscription, TidemarkClient } from "../../src/client/index.js";
import { paced, quantiles } from "./latency.js";
import type { Figures } from "./measure.js";

const EVENT = "bench.published";
const STAMP_BYTES = 8;
const SETTLE_MS_MAX = 20_000;

/** A publisher with an even pace and the consumer of its queue, which stays; only the publisher pauses between two rounds. */
export class ModestPair {
  private samples: number[] = [];
  private readonly subscription: Subscription;
  private readonly over: Promise<void>;

  constructor(
    private readonly client: TidemarkClient,
    private readonly queue: string,
    private readonly perSecond: number,
    private readonly payloadBytes: number,
  ) {
    this.subscription = client.subscribe(queue, { subscriber: "reader" });
    this.over = this.consume();
  }

  /** How long messages take from the call of the publisher to the consumer, for so many milliseconds. */
  async round(ms: number): Promise<Figures> {
    this.samples = [];
    let sent = 0;
    let failure: unknown;
    await paced(this.perSecond, ms, () => {
      const payload = Buffer.alloc(this.payloadBytes);
      payload.writeDoubleLE(performance.now());
      sent++;
      this.client.publish(this.queue, { event: EVENT, payload }).catch((error: unknown) => {
        failure ??= error;
      });
    });
    const until = performance.now() + SETTLE_MS_MAX;
    while (this.samples.length < sent && failure === undefined && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
    if (failure !== undefined || this.samples.length < sent) throw new Error(`only ${this.samples.length} of ${sent} messages came`, { cause: failure });
    return quantiles(this.samples);
  }

  async stop(): Promise<void> {
    await this.subscription.close();
    await this.over;
  }

  private async consume(): Promise<void> {
    for await (const delivery of this.subscription) {
      const { buffer, byteOffset } = delivery.payload;
      this.samples.push(performance.now() - Buffer.from(buffer, byteOffset, STAMP_BYTES).readDoubleLE());
      delivery.ack();
    }
  }
}
