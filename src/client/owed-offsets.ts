import type { DeliveryRange } from "../../generated/tidemark/v1/subscribe.js";
import type { Delivery } from "./delivery.js";
import { safeNumber } from "./safe-number.js";

/** No session holds more, so no range of a recall can mean more. */
const IN_FLIGHT_MAX = 100_000;

/** Offsets that an ephemeral session gave back or was recalled, and has not got again: a new session has to begin before them. */
export class OwedOffsets {
  private readonly offsets = new Set<number>();

  /** @param isKept false for a durable subscriber, of which the broker knows by itself */
  constructor(private readonly isKept: boolean) {}

  add(offset: number): void {
    if (this.isKept) this.offsets.add(offset);
  }

  /** Also what was acked of a recalled range: behind a message that came back, an ack does not hold. */
  addRecalled({ first, last }: DeliveryRange, lastOffset: number): void {
    if (!this.isKept) return;
    const from = safeNumber(first, "first");
    const through = Math.min(Math.max(from, safeNumber(last, "last")), lastOffset, from + IN_FLIGHT_MAX);
    for (let offset = from; offset <= through; offset++) this.offsets.add(offset);
  }

  cameAgain(deliveries: readonly Delivery[]): void {
    if (this.offsets.size > 0) for (const { offset } of deliveries) this.offsets.delete(offset);
  }

  values(): Iterable<number> {
    return this.offsets;
  }
}
