import { isUtf8 } from "node:buffer";
import type { Delivery } from "../client/index.js";
import { layoutJson } from "./json-layout.js";
import { timeOfDay } from "./quantity.js";
import { type Paint, printable, printableLine } from "./terminal.js";

const EVENT_COLUMNS_MAX = 32;
const BINARY_BYTES_SHOWN = 48;
/** Of one payload; the rest is counted, not shown. */
const LINES_SHOWN = 40;
const COLUMNS_SHOWN = 1_000;

/**
 * A delivery as one line of JSON for programs. The payload is text where it is UTF-8, otherwise base64 under another name;
 * fields that are empty are left out, except the payload.
 */
export function deliveryJson(queue: string, delivery: Delivery): string {
  const { payload, messageId, orderingKey, headers, lastReason } = delivery;
  return JSON.stringify({
    queue,
    offset: delivery.offset,
    event: delivery.event,
    ...(isUtf8(payload) ? { payload: payload.toString("utf8") } : { payload_base64: payload.toString("base64") }),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(messageId !== "" && { message_id: messageId }),
    ...(orderingKey !== "" && { ordering_key: orderingKey }),
    ...(delivery.publishTime !== undefined && { publish_time: delivery.publishTime.toISOString() }),
    attempt: delivery.attempt,
    delivery_count: delivery.deliveryCount,
    cause: delivery.cause,
    ...(lastReason !== "" && { last_reason: lastReason }),
  });
}

/** Deliveries for people: one line each, columns aligned as far as they are known, more lines where there is more to say. */
export class DeliveryView {
  private offsetColumns = 3;
  private eventColumns = 8;

  constructor(private readonly paint: Paint) {}

  /** @param columns how wide the terminal is */
  lines(delivery: Delivery, columns: number): string[] {
    const { paint } = this;
    const offset = `#${delivery.offset}`;
    const event = printableLine(delivery.event);
    this.offsetColumns = Math.max(this.offsetColumns, offset.length);
    this.eventColumns = Math.min(EVENT_COLUMNS_MAX, Math.max(this.eventColumns, event.length));

    const time = timeOfDay(delivery.publishTime);
    const lead = [paint("dim", time), paint("number", offset.padStart(this.offsetColumns)), paint("name", event.padEnd(this.eventColumns))].join("  ");
    const leadColumns = time.length + 2 + this.offsetColumns + 2 + Math.max(event.length, this.eventColumns) + 2;
    const indent = " ".repeat(time.length + 2 + this.offsetColumns + 2);

    const payload = payloadText(delivery.payload);
    const fits = !payload.text.includes("\n") && leadColumns + payload.text.length <= columns;
    const body = paint(payload.tone, payload.text);
    const lines = fits ? [`${lead}  ${body}`.trimEnd()] : [lead.trimEnd(), ...laidOut(payload.text).map((line) => paint(payload.tone, `${indent}${line}`))];
    const about = this.about(delivery);
    if (about !== "") lines.push(`${indent}${about}`);
    return lines;
  }

  private about(delivery: Delivery): string {
    const { paint } = this;
    const parts: string[] = [];
    if (delivery.attempt > 1 || delivery.deliveryCount > 1) {
      const reason = delivery.lastReason === "" ? "" : `: ${printableLine(delivery.lastReason)}`;
      parts.push(paint("warning", `attempt ${delivery.attempt}, delivery ${delivery.deliveryCount} (${delivery.cause.toLowerCase()}${reason})`));
    }
    if (delivery.orderingKey !== "") parts.push(paint("dim", `key ${printableLine(delivery.orderingKey)}`));
    if (delivery.messageId !== "") parts.push(paint("dim", `id ${printableLine(delivery.messageId)}`));
    for (const [name, value] of Object.entries(delivery.headers)) parts.push(paint("dim", `${printableLine(name)}=${printableLine(value)}`));
    return parts.join(paint("dim", " · "));
  }
}

function payloadText(payload: Buffer): { text: string; tone: "plain" | "dim" } {
  if (payload.length === 0) return { text: "(empty)", tone: "dim" };
  if (isUtf8(payload)) return { text: printable(payload.toString("utf8").trimEnd()), tone: "plain" };
  const shown = payload.subarray(0, BINARY_BYTES_SHOWN).toString("base64");
  return { text: `(${payload.length} bytes) ${shown}${payload.length > BINARY_BYTES_SHOWN ? "…" : ""}`, tone: "dim" };
}

/** JSON over several lines, other text as it is; what is too much for a terminal is cut, and says so. */
function laidOut(text: string): string[] {
  const lines = (layoutJson(text) ?? text.split(/\r?\n/)).map((line) => (line.length > COLUMNS_SHOWN ? `${line.slice(0, COLUMNS_SHOWN)}…` : line));
  if (lines.length <= LINES_SHOWN) return lines;
  return [...lines.slice(0, LINES_SHOWN), `… ${(lines.length - LINES_SHOWN).toLocaleString("en")} more lines`];
}
