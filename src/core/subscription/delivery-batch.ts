import type { BatchFacts } from "../session.js";
import { monotonicMs, offset, type MonotonicMs, type Offset, type WallMs } from "../units.js";

/**
 * What became of a message in the batch it was handed out in. HELD: leased to the session. LOST: the lease ran out. The
 * others are the verdicts of the session.
 */
export const FATE = { HELD: 0, ACKED: 1, RETRIED: 2, REJECTED: 3, RELEASED: 4, LOST: 5 } as const;
export type Fate = (typeof FATE)[keyof typeof FATE];

/** A stretch of consecutive offsets that shared one fate before a change. */
export type VisitStretch = (first: Offset, last: Offset, before: Fate) => void;

/** Positions of messages in a batch, inclusive, counted from 0 in offset order. */
export interface Positions {
  readonly first: number;
  readonly last: number;
}

/**
 * Messages handed to one session together. As long as all of them share one fate and one deadline, that is all it keeps: a
 * batch that is delivered and acked whole never allocates a record a message.
 */
export class DeliveryBatch {
  heldMessages: number;
  heldBytes: number;
  private uniform: Fate = FATE.HELD;
  private fates: Uint8Array | undefined;
  private deadlines: Float64Array | undefined;

  /**
   * @param runs first and last offsets in turn, ascending
   * @param sizes stored bytes of each message; owned by the batch
   * @param deadline when the lease runs out; Infinity under AUTO
   * @param alone handed out with nothing else in flight to the session, because a message in it is suspect
   * @param expireTimes wall time from which each message counts as expired, 0 for never; undefined: none ever does
   */
  constructor(
    readonly facts: BatchFacts,
    private readonly runs: readonly number[],
    private sizes: Uint32Array | undefined,
    readonly count: number,
    readonly bytes: number,
    readonly handedOutAt: MonotonicMs,
    private deadline: number,
    readonly alone: boolean,
    private expireTimes?: Float64Array,
  ) {
    this.heldMessages = count;
    this.heldBytes = bytes;
  }

  get first(): Offset {
    return offset(this.runs[0] ?? 0);
  }

  get last(): Offset {
    return offset(this.runs[this.runs.length - 1] ?? 0);
  }

  /** The earliest deadline of a held message; Infinity when none is held. */
  get earliestDeadline(): number {
    if (this.heldMessages === 0) return Infinity;
    if (this.deadlines === undefined) return this.deadline;
    let earliest = Infinity;
    for (let i = 0; i < this.count; i++) {
      if (this.fateAt(i) === FATE.HELD) earliest = Math.min(earliest, this.deadlines[i] ?? Infinity);
    }
    return earliest;
  }

  /** Where `first..last` falls into this batch; undefined when no message of it lies there. */
  positions(first: Offset, last: Offset): Positions | undefined {
    let before = 0;
    let from = -1;
    let through = -1;
    for (let i = 0; i < this.runs.length; i += 2) {
      const runFirst = this.runs[i] ?? 0;
      const runLast = this.runs[i + 1] ?? 0;
      if (runFirst > last) break;
      if (runLast >= first) {
        if (from === -1) from = before + Math.max(0, first - runFirst);
        through = before + Math.min(runLast, last) - runFirst;
      }
      before += runLast - runFirst + 1;
    }
    return from === -1 ? undefined : { first: from, last: through };
  }

  get all(): Positions {
    return { first: 0, last: this.count - 1 };
  }

  /** Shows each stretch of consecutive offsets with one fate. */
  visit(positions: Positions, visit: VisitStretch): void {
    let before = 0;
    for (let i = 0; i < this.runs.length && before <= positions.last; i += 2) {
      const runFirst = this.runs[i] ?? 0;
      const runCount = (this.runs[i + 1] ?? 0) - runFirst + 1;
      let from = Math.max(positions.first, before);
      const through = Math.min(positions.last, before + runCount - 1);
      while (from <= through) {
        const fate = this.fateAt(from);
        let end = from;
        while (end < through && (this.fates === undefined || this.fateAt(end + 1) === fate)) {
          if (this.fates === undefined) end = through;
          else end++;
        }
        visit(offset(runFirst + from - before), offset(runFirst + end - before), fate);
        from = end + 1;
      }
      before += runCount;
    }
  }

  /** Gives every held message among `positions` a fate that ends its lease. Others keep theirs. */
  conclude(positions: Positions, fate: Fate): { messages: number; bytes: number } {
    const whole = positions.first === 0 && positions.last === this.count - 1;
    if (whole && this.fates === undefined) {
      if (this.uniform !== FATE.HELD) return { messages: 0, bytes: 0 };
      this.uniform = fate;
      return this.leave(this.heldMessages, this.heldBytes);
    }
    const fates = (this.fates ??= new Uint8Array(this.count).fill(this.uniform));
    let messages = 0;
    let bytes = 0;
    for (let i = positions.first; i <= positions.last; i++) {
      if (fates[i] !== FATE.HELD) continue;
      fates[i] = fate;
      messages++;
      bytes += this.sizes?.[i] ?? 0;
    }
    return this.leave(messages, bytes);
  }

  /** Takes back verdicts that were not final: what is not held gets another fate. */
  overrule(positions: Positions, fate: Fate): void {
    const fates = (this.fates ??= new Uint8Array(this.count).fill(this.uniform));
    for (let i = positions.first; i <= positions.last; i++) if (fates[i] !== FATE.HELD) fates[i] = fate;
  }

  /** Moves the deadline of held messages; nothing holds longer than `latest`. */
  extend(positions: Positions, deadline: MonotonicMs, latest: MonotonicMs): void {
    const at = Math.min(deadline, latest);
    if (positions.first === 0 && positions.last === this.count - 1) {
      this.deadline = at;
      this.deadlines = undefined;
      return;
    }
    const deadlines = (this.deadlines ??= new Float64Array(this.count).fill(this.deadline));
    deadlines.fill(at, positions.first, positions.last + 1);
  }

  /** Positions whose lease has run out, as stretches; they are still held. */
  expired(now: MonotonicMs): Positions[] {
    if (this.heldMessages === 0) return [];
    if (this.deadlines === undefined) return this.deadline <= now ? [this.all] : [];
    const stretches: { first: number; last: number }[] = [];
    for (let i = 0; i < this.count; i++) {
      if (this.fateAt(i) !== FATE.HELD || (this.deadlines[i] ?? Infinity) > now) continue;
      const open = stretches[stretches.length - 1];
      if (open?.last === i - 1) open.last = i;
      else stretches.push({ first: i, last: i });
    }
    return stretches;
  }

  /** Those among `positions` that are held and have expired by the wall clock. */
  outlived(positions: Positions, now: WallMs): readonly number[] {
    const { expireTimes } = this;
    if (expireTimes === undefined) return [];
    const outlived: number[] = [];
    for (let i = positions.first; i <= positions.last; i++) {
      const expires = expireTimes[i] ?? 0;
      if (expires !== 0 && expires <= now && this.fateAt(i) === FATE.HELD) outlived.push(i);
    }
    return outlived;
  }

  /** The latest that any lease of this batch may reach. */
  latestDeadline(capMs: number): MonotonicMs {
    return monotonicMs(this.handedOutAt + capMs);
  }

  /** When the lease of a message runs out. */
  deadlineAt(position: number): number {
    return this.deadlines?.[position] ?? this.deadline;
  }

  fateAt(position: number): Fate {
    return (this.fates?.[position] ?? this.uniform) as Fate;
  }

  private leave(messages: number, bytes: number): { messages: number; bytes: number } {
    this.heldMessages -= messages;
    this.heldBytes -= bytes;
    if (this.heldMessages === 0) {
      // Only the fates are still asked for.
      this.sizes = undefined;
      this.deadlines = undefined;
      this.expireTimes = undefined;
    }
    return { messages, bytes };
  }
}
