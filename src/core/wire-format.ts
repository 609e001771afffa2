/** The few pieces of protobuf's wire format that stored messages are made of. Nothing here knows a message or a field. */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
/** Up to here a loop over characters beats the call into native code. */
const SHORT_TEXT_BYTES = 48;
const TWO_POW_32 = 0x1_0000_0000;

/** The bytes are no message: cut short, of a wrong wire type, or holding a number beyond 2^53. */
export class MessageFormatError extends Error {
  override readonly name = "MessageFormatError";
}

/** Bytes that `value`, a safe integer from 0, takes as a varint. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Writes `value`, a safe integer from 0, and returns where it ends. */
export function writeVarint(target: Buffer, start: number, value: number): number {
  let position = start;
  let rest = value;
  for (; rest >= TWO_POW_32; rest = Math.floor(rest / 0x80)) target[position++] = (rest % 0x80) | 0x80;
  for (; rest >= 0x80; rest >>>= 7) target[position++] = (rest & 0x7f) | 0x80;
  target[position++] = rest;
  return position;
}

/** Writes `text` as UTF-8, `bytes` being its `Buffer.byteLength`, and returns where it ends. */
export function writeText(target: Buffer, start: number, text: string, bytes: number): number {
  if (bytes === text.length && bytes <= SHORT_TEXT_BYTES) {
    for (let i = 0; i < bytes; i++) target[start + i] = text.charCodeAt(i);
  } else {
    target.write(text, start, bytes, "utf8");
  }
  return start + bytes;
}

/** Reads one message's fields between two places of a buffer; never beyond. Every method throws MessageFormatError. */
export class WireReader {
  private position: number;

  constructor(
    private readonly source: Buffer,
    start: number,
    private readonly end: number,
  ) {
    this.position = start;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** Field number and wire type, as they stand on the wire. */
  tag(): number {
    return this.varint();
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.source[this.advance(1)] ?? 0;
      value += (byte & 0x7f) * factor;
      if (value > Number.MAX_SAFE_INTEGER) throw new MessageFormatError(`a number before byte ${this.position} is beyond 2^53`);
      if (byte < 0x80) return value;
    }
  }

  fixed64(): number {
    const start = this.advance(8);
    const value = this.source.readUInt32LE(start) + this.source.readUInt32LE(start + 4) * TWO_POW_32;
    if (value > Number.MAX_SAFE_INTEGER) throw new MessageFormatError(`the number at byte ${start} is beyond 2^53`);
    return value;
  }

  /** A view of the source. */
  bytes(): Buffer {
    const length = this.varint();
    const start = this.advance(length);
    return this.source.subarray(start, start + length);
  }

  text(): string {
    return this.bytes().toString("utf8");
  }

  /** A reader of the message that follows. */
  nested(): WireReader {
    const length = this.varint();
    const start = this.advance(length);
    return new WireReader(this.source, start, start + length);
  }

  /** Passes over the field whose tag was just read. */
  skip(tag: number): void {
    const type = tag & 7;
    if (type === VARINT) this.varint();
    else if (type === FIXED64) this.advance(8);
    else if (type === LENGTH_DELIMITED) this.advance(this.varint());
    else if (type === FIXED32) this.advance(4);
    else throw new MessageFormatError(`the field before byte ${this.position} has the unknown wire type ${type}`);
  }

  /** Moves on by `count` bytes and returns where they start. */
  private advance(count: number): number {
    const start = this.position;
    if (count > this.end - start) throw new MessageFormatError(`the message is cut short at byte ${this.end}`);
    this.position = start + count;
    return start;
  }
}
