import type { OutgoingMessage, TidemarkClient } from "../../src/client/index.js";

/** The queue whose publisher and consumer are measured. */
export const MODEST = "modest";
/** A queue with a million messages. */
export const BACKLOG = "backlog";
export const EVENT = "bench.published";
export const PAYLOAD = Buffer.alloc(128, "x");

const FILL_AT_ONCE = 1_000;
const FILLS_IN_FLIGHT = 16;

/** Publishes so many messages, in batches. */
export async function fill(client: TidemarkClient, queue: string, count: number, made: (message: OutgoingMessage) => OutgoingMessage = (message) => message): Promise<void> {
  let left = count;
  const filler = async (): Promise<void> => {
    while (left > 0) {
      const some = Math.min(left, FILL_AT_ONCE);
      left -= some;
      await client.publishBatch(
        queue,
        Array.from({ length: some }, () => made({ event: EVENT, payload: PAYLOAD })),
      );
    }
  };
  await Promise.all(Array.from({ length: FILLS_IN_FLIGHT }, filler));
}
