import type { Chunk } from "../core/chunk.js";
import { offset, wallMs } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";

/** A message id that was published within the window. */
export interface DedupHit {
  readonly offset: Offset;
  readonly fingerprint: bigint;
  readonly publishTimeMs: WallMs;
}

/** Words of one row: id (2), fingerprint (2), offset and time above the segment's base. */
const ROW_WORDS = 6;
/** Row numbers are kept in 16 bits, 0 for an empty place. */
const SEGMENT_IDS_MAX = 65_535;
const SEGMENT_IDS_MIN = 255;
const GROWTH = 4;
const WORD_MAX = 0xffff_ffff;
const BITS_PER_WORD = 32n;

/** A 64-bit value in two words, without arithmetic on bigints. */
const wide = new BigUint64Array(1);
const words = new Uint32Array(wide.buffer);

/**
 * The message ids that a queue has seen lately, by their 64-bit hashes: 24 bytes a row and 4 in the hash table.
 *
 * Rows lie in segments in the order of their offsets. A segment is dropped whole when its newest id has left the window or
 * when later segments hold enough ids, so forgetting never takes long, and none grows past 65,535 ids, so growing does not
 * either. A look-up asks each segment once: 16 at a million ids.
 */
export class DedupIndex {
  private readonly segments: Segment[] = [];
  private total = 0;

  /**
   * @param windowMs how long an id is remembered; 0: not at all
   * @param idsMax how many ids are remembered at least, if the window allows it; at most 65,535 more are
   */
  constructor(
    private windowMs: number,
    private idsMax: number,
  ) {}

  /** Other bounds from now on. What the old ones let go of stays forgotten. */
  bound(windowMs: number, idsMax: number): void {
    this.windowMs = windowMs;
    this.idsMax = idsMax;
  }

  /** False when ids mean nothing: with a window of zero. */
  get isOn(): boolean {
    return this.windowMs > 0;
  }

  /** Ids held, those included that have left the window but not yet been dropped. */
  get size(): number {
    return this.total;
  }

  /** The latest message with this id, if it is within the window now. `id` is not 0. */
  find(id: bigint, now: WallMs): DedupHit | undefined {
    if (!this.isOn) return undefined;
    wide[0] = id;
    const lo = words[0] as number;
    const hi = words[1] as number;
    for (let i = this.segments.length - 1; i >= 0; i--) {
      const hit = (this.segments[i] as Segment).find(lo, hi);
      if (hit !== undefined) return hit.publishTimeMs + this.windowMs >= now ? hit : undefined;
    }
    return undefined;
  }

  /** Remembers an id. Offsets grow and times do not go back from call to call. */
  add(id: bigint, fingerprint: bigint, at: Offset, time: WallMs): void {
    let segment = this.segments[this.segments.length - 1];
    if (segment === undefined || !segment.takes(at, time)) {
      segment = new Segment(at, time);
      this.segments.push(segment);
    }
    segment.add(id, fingerprint, at, time);
    this.total++;
  }

  /** Remembers the ids of a stored chunk. */
  learn(chunk: Chunk): void {
    const { messageIdHash, fingerprint } = chunk;
    if (messageIdHash === undefined || fingerprint === undefined) return;
    for (let i = 0; i < chunk.count; i++) {
      const id = messageIdHash[i] as bigint;
      if (id !== 0n) this.add(id, fingerprint[i] as bigint, offset(chunk.first + i), chunk.lastTimeMs);
    }
  }

  /** Forgets everything from an offset on: what was judged but never stored. */
  forgetFrom(at: Offset): void {
    while (this.segments.length > 0) {
      const segment = this.segments[this.segments.length - 1] as Segment;
      this.total -= segment.size;
      segment.truncate(at);
      this.total += segment.size;
      if (segment.size > 0) return;
      this.segments.pop();
    }
  }

  /** Drops segments that nobody needs any more. Takes the same few steps however many ids go. */
  expire(now: WallMs): void {
    for (;;) {
      const oldest = this.segments[0];
      if (oldest === undefined) return;
      const gone = oldest.newestTime + this.windowMs < now || this.total - oldest.size >= this.idsMax;
      if (!gone) return;
      this.segments.shift();
      this.total -= oldest.size;
    }
  }

  /** The oldest message whose id still counts: headers below it are not needed for dedup. `next` when there is none. */
  neededFrom(now: WallMs, next: Offset): Offset {
    const oldestTime = now - this.windowMs;
    for (const segment of this.segments) {
      const at = segment.firstSince(oldestTime);
      if (at !== undefined) return at;
    }
    return next;
  }
}

/** A run of ids with one open-addressing table (linear probing, at most half full). */
class Segment {
  private rows = new Uint32Array(SEGMENT_IDS_MIN * ROW_WORDS);
  private table = new Uint16Array(tableSize(SEGMENT_IDS_MIN));
  private capacity = SEGMENT_IDS_MIN;
  private count = 0;

  constructor(
    private readonly baseOffset: Offset,
    private readonly baseTime: WallMs,
  ) {}

  get size(): number {
    return this.count;
  }

  get newestTime(): number {
    return this.count === 0 ? this.baseTime : this.timeOf(this.count - 1);
  }

  takes(at: Offset, time: WallMs): boolean {
    return this.count < SEGMENT_IDS_MAX && at - this.baseOffset <= WORD_MAX && time - this.baseTime <= WORD_MAX;
  }

  add(id: bigint, fingerprint: bigint, at: Offset, time: WallMs): void {
    if (this.count === this.capacity) this.grow();
    const start = this.count * ROW_WORDS;
    wide[0] = id;
    this.rows.set(words, start);
    wide[0] = fingerprint;
    this.rows.set(words, start + 2);
    this.rows[start + 4] = at - this.baseOffset;
    this.rows[start + 5] = Math.max(0, time - this.baseTime);
    this.count++;
    this.enter(this.count - 1);
  }

  find(lo: number, hi: number): DedupHit | undefined {
    const { rows, table } = this;
    const mask = table.length - 1;
    let found = -1;
    for (let place = lo & mask; table[place] !== 0; place = (place + 1) & mask) {
      const row = (table[place] as number) - 1;
      // An id that came again after its window has several rows; the newest one counts.
      if (rows[row * ROW_WORDS] === lo && rows[row * ROW_WORDS + 1] === hi && row > found) found = row;
    }
    if (found === -1) return undefined;
    const start = found * ROW_WORDS;
    const fingerprint = (BigInt(rows[start + 3] as number) << BITS_PER_WORD) | BigInt(rows[start + 2] as number);
    return { offset: this.offsetOf(found), fingerprint, publishTimeMs: wallMs(this.timeOf(found)) };
  }

  truncate(from: Offset): void {
    while (this.count > 0 && this.offsetOf(this.count - 1) >= from) this.count--;
    this.table.fill(0);
    for (let row = 0; row < this.count; row++) this.enter(row);
  }

  /** The first message with a time of at least `time`. Times ascend with the rows. */
  firstSince(time: number): Offset | undefined {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.timeOf(middle) < time) low = middle + 1;
      else high = middle;
    }
    return low < this.count ? this.offsetOf(low) : undefined;
  }

  private offsetOf(row: number): Offset {
    return offset(this.baseOffset + (this.rows[row * ROW_WORDS + 4] as number));
  }

  private timeOf(row: number): number {
    return this.baseTime + (this.rows[row * ROW_WORDS + 5] as number);
  }

  private enter(row: number): void {
    const { table } = this;
    const mask = table.length - 1;
    let place = (this.rows[row * ROW_WORDS] as number) & mask;
    while (table[place] !== 0) place = (place + 1) & mask;
    table[place] = row + 1;
  }

  private grow(): void {
    this.capacity = Math.min(SEGMENT_IDS_MAX, this.capacity * GROWTH);
    const rows = new Uint32Array(this.capacity * ROW_WORDS);
    rows.set(this.rows);
    this.rows = rows;
    this.table = new Uint16Array(tableSize(this.capacity));
    for (let row = 0; row < this.count; row++) this.enter(row);
  }
}

/** The power of two that keeps a table at most half full. */
function tableSize(ids: number): number {
  return 2 ** Math.ceil(Math.log2(ids * 2));
}
