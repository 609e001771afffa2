import type { OutgoingMessage } from "./outgoing-message.js";
import { mustBeString, payloadProblem } from "./outgoing-message.js";

/** Tags of `PublishStreamRequest.messages`, of the fields of `NewMessage`, and of its map entries. */
const TAG_MESSAGE = 0x1a;
const TAG_EVENT = 0x12;
const TAG_PAYLOAD = 0x1a;
const TAG_HEADER = 0x22;
const TAG_MESSAGE_ID = 0x2a;
const TAG_ORDERING_KEY = 0x32;
const TAG_HEADER_KEY = 0x0a;
const TAG_HEADER_VALUE = 0x12;
/** Up to here a loop over characters beats the call into native code. */
const SHORT_TEXT = 48;
const ASCII_MAX = 0x7f;

/**
 * Writes messages as entries of a PublishStream frame, without an object for each. `take` checks and measures one; `write`
 * puts down the one that was taken last.
 */
export class MessageEncoder {
  /** What the message takes in a frame, tag and length included. */
  bytes = 0;
  messageId = "";
  private contentBytes = 0;
  private event = "";
  private payload: Uint8Array | string = "";
  private payloadBytes = 0;
  /** Names and values in turn. */
  private headers: string[] = [];
  private orderingKey = "";

  /**
   * Names and sizes are for the broker to judge; types are checked here, because one value that cannot be encoded would break
   * the stream under everybody else's messages. Reads each field once.
   */
  take(message: OutgoingMessage): void {
    const { event, payload = "", headers, messageId = "", orderingKey = "" } = message;
    mustBeString("event", event);
    mustBeString("messageId", messageId);
    mustBeString("orderingKey", orderingKey);
    if (typeof payload === "string") this.payloadBytes = utf8Bytes(payload);
    else if (payload instanceof Uint8Array) this.payloadBytes = payload.length;
    else throw payloadProblem(payload);
    this.event = event;
    this.payload = payload;
    this.messageId = messageId;
    this.orderingKey = orderingKey;
    if (this.headers.length > 0) this.headers = [];
    this.contentBytes = textFieldBytes(event) + textFieldBytes(messageId) + textFieldBytes(orderingKey);
    if (this.payloadBytes > 0) this.contentBytes += 1 + varintBytes(this.payloadBytes) + this.payloadBytes;
    if (headers !== undefined) this.takeHeaders(headers);
    this.bytes = 1 + varintBytes(this.contentBytes) + this.contentBytes;
  }

  /** Writes `bytes` bytes from `start` on and returns where they end. */
  write(target: Buffer, start: number): number {
    target[start] = TAG_MESSAGE;
    let at = writeVarint(target, start + 1, this.contentBytes);
    at = writeTextField(target, at, TAG_EVENT, this.event);
    if (this.payloadBytes > 0) {
      target[at] = TAG_PAYLOAD;
      at = writeVarint(target, at + 1, this.payloadBytes);
      if (typeof this.payload === "string") writeText(target, at, this.payload, this.payloadBytes);
      else target.set(this.payload, at);
      at += this.payloadBytes;
    }
    for (let i = 0; i < this.headers.length; i += 2) {
      const name = this.headers[i] ?? "";
      const value = this.headers[i + 1] ?? "";
      target[at] = TAG_HEADER;
      at = writeVarint(target, at + 1, textEntryBytes(name) + textEntryBytes(value));
      at = writeTextEntry(target, at, TAG_HEADER_KEY, name);
      at = writeTextEntry(target, at, TAG_HEADER_VALUE, value);
    }
    at = writeTextField(target, at, TAG_MESSAGE_ID, this.messageId);
    return writeTextField(target, at, TAG_ORDERING_KEY, this.orderingKey);
  }

  private takeHeaders(headers: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(headers)) {
      mustBeString(`headers[${JSON.stringify(name)}]`, value);
      this.headers.push(name, value);
      const entry = textEntryBytes(name) + textEntryBytes(value);
      this.contentBytes += 1 + varintBytes(entry) + entry;
    }
  }
}

/** Bytes that `value`, below 2^31, takes as a varint. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest >>>= 7) bytes++;
  return bytes;
}

/** Writes `value`, below 2^31, and returns where it ends. */
export function writeVarint(target: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at++] = rest;
  return at;
}

/** What a text takes as a field, tag and length included. */
export function textEntryBytes(text: string): number {
  const bytes = utf8Bytes(text);
  return 1 + varintBytes(bytes) + bytes;
}

/** Writes a text as a field, empty or not, and returns where it ends. */
export function writeTextEntry(target: Buffer, start: number, tag: number, text: string): number {
  const bytes = utf8Bytes(text);
  target[start] = tag;
  return writeText(target, writeVarint(target, start + 1, bytes), text, bytes);
}

/** A field that is left out when it is empty. */
function textFieldBytes(text: string): number {
  return text === "" ? 0 : textEntryBytes(text);
}

function writeTextField(target: Buffer, start: number, tag: number, text: string): number {
  return text === "" ? start : writeTextEntry(target, start, tag, text);
}

function utf8Bytes(text: string): number {
  if (text.length > SHORT_TEXT) return Buffer.byteLength(text);
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > ASCII_MAX) return Buffer.byteLength(text);
  return text.length;
}

function writeText(target: Buffer, start: number, text: string, bytes: number): number {
  if (bytes === text.length && bytes <= SHORT_TEXT) for (let i = 0; i < bytes; i++) target[start + i] = text.charCodeAt(i);
  else target.write(text, start, bytes, "utf8");
  return start + bytes;
}
