import { EventFilter } from "../event-filter.js";
import { LIMITS } from "../limits.js";
import { OffsetRanges } from "../offset-ranges.js";
import type { DeliveryCause } from "../session.js";
import { monotonicMs, offset, wallMs, type MonotonicMs, type Now, type Offset, type WallMs } from "../units.js";
import type { FilterStretch } from "./filter-history.js";
import type { Trouble } from "./trouble.js";

const CAUSES: readonly DeliveryCause[] = ["NEW", "RETRY", "TIMEOUT", "DISCONNECT", "RELEASED", "SEEK"];
/** Words are for people; past this many bytes of them a cursor keeps counts and due times only. */
const WORD_BYTES_MAX = 64 * 1024;

/** The due time of what waits for nothing. */
export const NEVER = wallMs(0);

/** The stored bytes are none of ours, or damaged. */
export class CursorCorrupt extends Error {
  override readonly name = "CursorCorrupt";
}

/**
 * When a stored retry is due by the clock of this process; undefined when it is due already. A wall clock that jumped back
 * must not keep a message for longer than any delay that a client may ask for.
 */
export function dueAgain(dueWallMs: WallMs, now: Now): { readonly at: MonotonicMs; readonly wallMs: WallMs } | undefined {
  if (dueWallMs <= now.wallMs) return undefined;
  return { at: monotonicMs(now.monotonicMs + Math.min(dueWallMs - now.wallMs, LIMITS.retryDelayMsMax)), wallMs: dueWallMs };
}

/** What a subscription knows beyond what it handed out; the end of every cursor. */
export interface Claimed {
  /** The furthest message that a verdict or a client's claim has settled; 0: none, or not known. */
  readonly lastSettled: Offset;
  /** What clients had finished before and is not settled yet. */
  readonly done: OffsetRanges;
  /** Filters that were changed since, as far as something that they took is not settled. */
  readonly earlierFilters: readonly FilterStretch[];
  /** Messages that expired before they were settled, ever. */
  readonly expired: number;
}

/** Writes one cursor: a format byte, then unsigned LEB128 numbers. */
export class CursorWriter {
  private buffer = Buffer.allocUnsafeSlow(64);
  private view = new DataView(this.buffer.buffer);
  private length = 0;
  private wordBytes = 0;

  constructor(format: number) {
    this.number(format);
  }

  number(value: number): void {
    this.reserve(8);
    if (value < 0x80) {
      this.buffer[this.length++] = value;
      return;
    }
    let rest = value;
    // Shifts are for numbers of 32 bits.
    while (rest >= 0x8000_0000) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.length++] = rest;
  }

  ranges(ranges: OffsetRanges): void {
    this.number(ranges.runCount);
    let after = 0;
    for (let i = 0; i < ranges.runCount; i++) {
      const { first, last } = ranges.run(i);
      this.number(first - after);
      this.number(last - first);
      after = last;
    }
  }

  claimed({ lastSettled, done, earlierFilters, expired }: Claimed): void {
    this.number(lastSettled);
    this.ranges(done);
    if (earlierFilters.length === 0 && expired === 0) return;
    this.number(earlierFilters.length);
    for (const { through, filter } of earlierFilters) {
      this.number(through);
      this.number(filter.patterns.length);
      for (const pattern of filter.patterns) this.text(pattern);
    }
    if (expired > 0) this.number(expired);
  }

  /** A 64-bit hash, little-endian. */
  hash(value: bigint): void {
    this.reserve(8);
    this.view.setBigUint64(this.length, value, true);
    this.length += 8;
  }

  trouble(trouble: Trouble, dueWallMs: WallMs): void {
    this.number(trouble.attempt);
    this.number(trouble.deliveryCount);
    this.number(CAUSES.indexOf(trouble.cause));
    this.number(dueWallMs);
    this.words(trouble.lastReason);
  }

  /** A text that nothing depends on; left out once there are too many. */
  words(value: string): void {
    if (value === "") {
      this.number(0);
      return;
    }
    this.wordBytes += Buffer.byteLength(value);
    this.text(this.wordBytes <= WORD_BYTES_MAX ? value : "");
  }

  private text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.number(bytes);
    this.reserve(bytes);
    this.length += this.buffer.write(value, this.length);
  }

  finish(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length));
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + bytes));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
    this.view = new DataView(larger.buffer);
  }
}

/** Reads what a CursorWriter wrote. Every method throws CursorCorrupt. */
export class CursorReader {
  readonly format: number;
  private at = 0;

  constructor(private readonly bytes: Uint8Array, ...formats: readonly number[]) {
    this.format = this.number();
    if (!formats.includes(this.format)) throw new CursorCorrupt(`the cursor has format ${this.format}, not ${formats.join(" or ")}`);
  }

  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new CursorCorrupt("the cursor ends too early");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 0x80;
    }
    if (!Number.isSafeInteger(value)) throw new CursorCorrupt("a number is beyond 2^53 - 1");
    return value;
  }

  ranges(): OffsetRanges {
    const ranges = new OffsetRanges();
    let after = 0;
    for (let left = this.number(); left > 0; left--) {
      const first = after + this.number();
      const last = first + this.number();
      ranges.add(offset(first), offset(last));
      after = last;
    }
    return ranges;
  }

  hash(): bigint {
    if (this.at + 8 > this.bytes.length) throw new CursorCorrupt("the cursor ends too early");
    const hash = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.at, 8).readBigUInt64LE();
    this.at += 8;
    return hash;
  }

  /** A cursor of before there were claims ends here; one without earlier filters behind what is claimed; one of which nothing expired behind those. */
  claimed(): Claimed {
    if (this.isOver()) return { lastSettled: offset(0), done: new OffsetRanges(), earlierFilters: [], expired: 0 };
    const claimed = { lastSettled: offset(this.number()), done: this.ranges() };
    if (this.isOver()) return { ...claimed, earlierFilters: [], expired: 0 };
    const earlierFilters = this.filters();
    const expired = this.isOver() ? 0 : this.number();
    if (earlierFilters.length === 0 && expired === 0) throw new CursorCorrupt("bytes are left over");
    return { ...claimed, earlierFilters, expired };
  }

  private isOver(): boolean {
    return this.at === this.bytes.length;
  }

  trouble(): Trouble & { readonly dueWallMs: WallMs } {
    const attempt = this.number();
    const deliveryCount = this.number();
    const cause = CAUSES[this.number()];
    if (cause === undefined) throw new CursorCorrupt("a delivery cause is not known");
    return { attempt, deliveryCount, cause, dueWallMs: wallMs(this.number()), lastReason: this.words() };
  }

  private filters(): FilterStretch[] {
    const stretches: FilterStretch[] = [];
    for (let left = this.number(); left > 0; left--) {
      const through = offset(this.number());
      const patterns: string[] = [];
      for (let more = this.number(); more > 0; more--) patterns.push(this.words());
      stretches.push({ through, filter: filterOf(patterns) });
    }
    return stretches;
  }

  words(): string {
    const length = this.number();
    if (this.at + length > this.bytes.length) throw new CursorCorrupt("the cursor ends too early");
    const text = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.at, length).toString("utf8");
    this.at += length;
    return text;
  }

  end(): void {
    if (this.at !== this.bytes.length) throw new CursorCorrupt("bytes are left over");
  }
}

function filterOf(patterns: readonly string[]): EventFilter {
  try {
    return EventFilter.parse(patterns);
  } catch (error) {
    throw new CursorCorrupt("an earlier filter is none", { cause: error });
  }
}
