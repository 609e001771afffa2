import { isUtf8 } from "node:buffer";
import type { StoredMessage } from "../client/index.js";
import { layoutJson } from "./json-layout.js";
import { timeOfDay } from "./quantity.js";
import { type Paint, printable, printableLine } from "./terminal.js";

const EVENT_COLUMNS_MAX = 32;
const BINARY_BYTES_SHOWN = 48;
/** Of one payload; the rest is counted, not shown. */
const LINES_SHOWN = 40;
const COLUMNS_SHOWN = 1_000;

/**
 * The fields of a message for programs. The payload is text where it is UTF-8, otherwise base64 under another name; fields that
 * are empty are left out, except the payload.
 */
export function messageFields(queue: string, message: StoredMessage): object {
  const { offset, event, payload, messageId, orderingKey, headers, publishTime, expireTime, originOffset } = message;
  return {
    queue,
    offset,
    event,
    ...(isUtf8(payload) ? { payload: payload.toString("utf8") } : { payload_base64: payload.toString("base64") }),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(messageId !== "" && { message_id: messageId }),
    ...(orderingKey !== "" && { ordering_key: orderingKey }),
    ...(originOffset !== 0 && { origin_offset: originOffset }),
    ...(publishTime !== undefined && { publish_time: publishTime.toISOString() }),
    ...(expireTime !== undefined && { expire_time: expireTime.toISOString() }),
  };
}

/** Messages for people: one line each, columns aligned as far as they are known, more lines where there is more to say. */
export class MessageView {
  private offsetColumns = 3;
  private eventColumns = 8;

  constructor(private readonly paint: Paint) {}

  /**
   * @param columns how wide the terminal is
   * @param story what else is to be said about it, painted; empty: nothing
   */
  lines(message: StoredMessage, columns: number, story = ""): string[] {
    const { paint } = this;
    const offset = `#${message.offset}`;
    const event = printableLine(message.event);
    this.offsetColumns = Math.max(this.offsetColumns, offset.length);
    this.eventColumns = Math.min(EVENT_COLUMNS_MAX, Math.max(this.eventColumns, event.length));

    const time = timeOfDay(message.publishTime);
    const lead = [paint("dim", time), paint("number", offset.padStart(this.offsetColumns)), paint("name", event.padEnd(this.eventColumns))].join("  ");
    const leadColumns = time.length + 2 + this.offsetColumns + 2 + Math.max(event.length, this.eventColumns) + 2;
    const indent = " ".repeat(time.length + 2 + this.offsetColumns + 2);

    const payload = payloadText(message.payload);
    const fits = !payload.text.includes("\n") && leadColumns + payload.text.length <= columns;
    const body = paint(payload.tone, payload.text);
    const lines = fits ? [`${lead}  ${body}`.trimEnd()] : [lead.trimEnd(), ...laidOut(payload.text).map((line) => paint(payload.tone, `${indent}${line}`))];
    const about = [story, ...this.about(message)].filter((part) => part !== "").join(paint("dim", " · "));
    if (about !== "") lines.push(`${indent}${about}`);
    return lines;
  }

  private about({ orderingKey, messageId, headers, originOffset }: StoredMessage): string[] {
    const { paint } = this;
    const parts: string[] = [];
    if (orderingKey !== "") parts.push(paint("dim", `key ${printableLine(orderingKey)}`));
    if (messageId !== "") parts.push(paint("dim", `id ${printableLine(messageId)}`));
    if (originOffset !== 0) parts.push(paint("dim", `again, first #${originOffset}`));
    for (const [name, value] of Object.entries(headers)) parts.push(paint("dim", `${printableLine(name)}=${printableLine(value)}`));
    return parts;
  }
}

/** A payload over as many lines as it needs: JSON laid out, other text as it is, bytes that are no text by their size and beginning. */
export function payloadLines(payload: Buffer): string[] {
  return laidOut(payloadText(payload).text);
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
