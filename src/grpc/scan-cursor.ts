const ASCII_MAX = 0x7f;
const MORE = 0x80;
/** Lengths of up to four bytes: beyond any message. */
const LENGTH_SHIFT_MAX = 21;

/** A place in encoded bytes, for looking at fields without decoding them. What it cannot read it leaves to the full decoder. */
export class ScanCursor {
  at = 0;

  constructor(readonly bytes: Buffer) {}

  /**
   * Moves over a length to the content behind it. -1 when the content ends behind `end`, or the length is not in its shortest
   * form, as it would be stored.
   */
  length(end: number): number {
    let length = 0;
    for (let shift = 0; shift <= LENGTH_SHIFT_MAX; shift += 7) {
      const byte = this.bytes[this.at++] ?? MORE;
      length |= (byte & 0x7f) << shift;
      if (byte < MORE) return (byte === 0 && shift > 0) || this.at + length > end ? -1 : length;
    }
    return -1;
  }

  /** Moves over a text in ASCII, its length in front, and returns its bytes; -1 when it is longer, or another text. */
  ascii(end: number, bytesMax: number): number {
    const length = this.length(end);
    if (length < 0 || length > bytesMax) return -1;
    for (const stop = this.at + length; this.at < stop; this.at++) if ((this.bytes[this.at] ?? MORE) > ASCII_MAX) return -1;
    return length;
  }

  /** Moves over a number and returns it; -1 when it is beyond 2^53 or cut short. */
  number(): number {
    let value = 0;
    for (let factor = 1; ; factor *= MORE) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * factor;
      if (value > Number.MAX_SAFE_INTEGER) return -1;
      if (byte < MORE) return value;
    }
  }

  /** Whether the bytes at two places are the same. */
  same(a: number, b: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.bytes[a + i] !== this.bytes[b + i]) return false;
    return true;
  }
}
