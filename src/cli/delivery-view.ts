import type { Delivery } from "../client/index.js";
import { messageFields, MessageView } from "./message-view.js";
import { type Paint, printableLine } from "./terminal.js";

/** A delivery as one line of JSON for programs. */
export function deliveryJson(queue: string, delivery: Delivery): string {
  return JSON.stringify(deliveryFields(queue, delivery));
}

/** The fields of a delivery for programs: the message, and how it came. */
export function deliveryFields(queue: string, delivery: Delivery): object {
  const { lastReason } = delivery;
  return {
    ...messageFields(queue, delivery),
    attempt: delivery.attempt,
    delivery_count: delivery.deliveryCount,
    cause: delivery.cause,
    ...(lastReason !== "" && { last_reason: lastReason }),
  };
}

/** Deliveries for people: messages, and the story of those that come again. */
export class DeliveryView {
  private readonly messages: MessageView;

  constructor(private readonly paint: Paint) {
    this.messages = new MessageView(paint);
  }

  /** @param columns how wide the terminal is */
  lines(delivery: Delivery, columns: number): string[] {
    return this.messages.lines(delivery, columns, this.story(delivery));
  }

  private story({ attempt, deliveryCount, cause, lastReason }: Delivery): string {
    if (attempt <= 1 && deliveryCount <= 1) return "";
    const reason = lastReason === "" ? "" : `: ${printableLine(lastReason)}`;
    return this.paint("warning", `attempt ${attempt}, delivery ${deliveryCount} (${cause.toLowerCase()}${reason})`);
  }
}
