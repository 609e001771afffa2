import { MinHeap } from "../min-heap.js";
import { offset, type Offset } from "../units.js";
import type { Confirmation } from "./confirmations.js";
import type { DeliveryBatch } from "./delivery-batch.js";
import type { SessionState } from "./session-state.js";

/** A message of a lane that was handed out and is not settled. */
export interface LaneEntry {
  readonly offset: Offset;
  readonly session: SessionState;
  /** Set as soon as the batch it goes out in is closed. */
  batch: DeliveryBatch | undefined;
  /**
   * `held`: leased. `concluded`: it has its verdict, which waits for the entries before it. `burying`: on its way to the dead
   * letters. `blocking`: poison that stays; it is taken back in the same step.
   */
  status: "held" | "concluded" | "burying" | "blocking";
  /** The answers that wait with it: more than one when its verdict was repeated. */
  owed: readonly Confirmation[];
  /** What its verdict does once it is first. */
  conclude: (() => void) | undefined;
}

/** The messages of one ordering key that are not settled; those that are form a prefix. */
export interface Lane {
  readonly hash: bigint;
  /** The first message that is not settled, or a lower bound of it. */
  first: Offset;
  /** Handed out, ascending, all to one session. */
  readonly entries: LaneEntry[];
  /**
   * How many matching messages at `resumeFrom` and behind, below `next`, have not been handed out; too many where some of them
   * turned out to be gone. Infinity: not known.
   */
  behind: number;
  /** Where to look for the first of them. */
  resumeFrom: Offset;
  /** The session that holds it and has no room for what is behind. */
  waitsForRoomOf: SessionState | undefined;
}

/** Stale heap entries that are always tolerated. */
const STALE_MAX = 1_024;

function firstsHeap(): MinHeap<{ readonly first: Offset; readonly lane: Lane }> {
  return new MinHeap(({ first }) => first);
}

/** Every lane that has unsettled messages below `next`; its size is what a lagging subscriber costs, not its backlog. */
export class Lanes {
  private readonly lanes = new Map<bigint, Lane>();
  private readonly holding = new Map<Offset, Lane>();
  /** Holds stale entries too: a lane's own `first` decides. Built anew when they outnumber the lanes. */
  private firsts = firstsHeap();
  private behindTotal = 0;
  /** Lanes of which it is not known how much is behind. */
  private uncounted = 0;
  private handingOut = 0;
  /** The lane that was found behind last. */
  private laggard: Lane | undefined;

  /** Lanes that have nothing in flight, only messages behind. */
  get stalled(): number {
    return this.lanes.size - this.handingOut;
  }

  /** Messages in all lanes, as far as known. */
  get messages(): number {
    return this.holding.size + this.behindTotal;
  }

  get handedOut(): number {
    return this.holding.size;
  }

  /** No lane has anything unsettled. */
  get isEmpty(): boolean {
    return this.lanes.size === 0;
  }

  /** Every message that is handed out and not settled, in no order. */
  handedOutOffsets(): Iterable<Offset> {
    return this.holding.keys();
  }

  /** True when a lane has something left to hand out. */
  get anyBehind(): boolean {
    return this.behindTotal > 0 || this.uncounted > 0;
  }

  /** True when a lane has something left to hand out that may lie at `through` or before. */
  anyBehindThrough(through: Offset): boolean {
    // Asked at each step, and mostly the answer is the same lane.
    if (this.laggard !== undefined && isBehind(this.laggard, through)) return true;
    this.laggard = undefined;
    if (!this.anyBehind) return false;
    for (const lane of this.lanes.values()) {
      if (!isBehind(lane, through)) continue;
      this.laggard = lane;
      return true;
    }
    return false;
  }

  values(): Iterable<Lane> {
    return this.lanes.values();
  }

  get(hash: bigint): Lane | undefined {
    return this.lanes.get(hash);
  }

  /** The lane that has handed out a message and not settled it. */
  holder(at: Offset): Lane | undefined {
    return this.holding.get(at);
  }

  /** What a session has concluded in its batches through this one, and what waits for a message before it in its lane. */
  *waitingThrough(session: SessionState, batchId: number): Iterable<LaneEntry> {
    // A verdict on the only message of a lane never waits.
    if (session.laneDepth === 1) return;
    for (const { entries } of this.lanes.values()) {
      if (entries.length === 1 || entries[0]?.session !== session) continue;
      for (const entry of entries) if (entry.status === "concluded" && (entry.batch?.facts.batchId ?? Infinity) <= batchId) yield entry;
    }
  }

  /** The first message that any lane has not settled; undefined when there is none. */
  get first(): Offset | undefined {
    for (let top = this.firsts.peek(); top !== undefined; top = this.firsts.peek()) {
      if (this.lanes.get(top.lane.hash) === top.lane && top.lane.first === top.first) return top.first;
      this.firsts.pop();
    }
    return undefined;
  }

  /** Begins a lane at its first unsettled message. */
  begin(hash: bigint, first: Offset, behind: number): Lane {
    const lane: Lane = { hash, first, entries: [], behind: 0, resumeFrom: first, waitsForRoomOf: undefined };
    this.lanes.set(hash, lane);
    this.note(lane);
    this.setBehind(lane, behind);
    return lane;
  }

  /** A message at the end of a lane has to wait. */
  addBehind(lane: Lane, at: Offset): void {
    if (lane.behind === 0) lane.resumeFrom = at;
    this.setBehind(lane, lane.behind + 1);
  }

  /** A message is handed out; if it was behind, it is not any more. */
  handOut(lane: Lane, at: Offset, session: SessionState, wasBehind: boolean): LaneEntry {
    const entry: LaneEntry = { offset: at, session, batch: undefined, status: "held", owed: [], conclude: undefined };
    if (lane.entries.push(entry) === 1) this.handingOut++;
    this.holding.set(at, lane);
    if (wasBehind) {
      lane.resumeFrom = offset(at + 1);
      this.setBehind(lane, lane.behind - 1);
    }
    return entry;
  }

  /** An entry is settled: the first one, or one whose message is gone. */
  settle(lane: Lane, entry: LaneEntry): void {
    if (lane.entries[0] === entry) lane.entries.shift();
    else lane.entries.splice(lane.entries.indexOf(entry), 1);
    this.holding.delete(entry.offset);
    if (lane.entries.length === 0) this.handingOut--;
    this.moved(lane);
  }

  /** Entry `index` and those after it are to be handed out again; returns them. */
  takeBack(lane: Lane, index: number): readonly LaneEntry[] {
    const back = lane.entries.splice(index);
    if (index === 0 && back.length > 0) this.handingOut--;
    for (const entry of back) this.holding.delete(entry.offset);
    lane.resumeFrom = back[0]?.offset ?? lane.resumeFrom;
    this.setBehind(lane, lane.behind + back.length);
    this.moved(lane);
    return back;
  }

  /** Nothing behind can be found any more: the count was a bound, or what it counted is gone. */
  emptyBehind(lane: Lane): void {
    this.setBehind(lane, 0);
    this.moved(lane);
  }

  /** The first message of a lane with nothing in flight is settled. */
  settleBehind(lane: Lane, at: Offset): void {
    lane.resumeFrom = offset(at + 1);
    this.setBehind(lane, lane.behind - 1);
    this.moved(lane);
  }

  /**
   * Messages `first..last` are gone; how many of a lane's that were is not known until it is looked at again. `behind` is an
   * upper bound until then.
   */
  loseBehind(lane: Lane, first: Offset, last: Offset, next: Offset): void {
    if (lane.resumeFrom >= first) {
      lane.resumeFrom = offset(last + 1);
      if (lane.behind !== Infinity) this.setBehind(lane, Math.min(lane.behind, next - 1 - last));
    }
    this.moved(lane);
  }

  private moved(lane: Lane): void {
    const first = lane.entries[0]?.offset ?? (lane.behind > 0 ? lane.resumeFrom : undefined);
    if (first === undefined) this.lanes.delete(lane.hash);
    else if (first !== lane.first) {
      lane.first = first;
      this.note(lane);
    }
  }

  private note(lane: Lane): void {
    this.firsts.push({ first: lane.first, lane });
    if (this.firsts.size <= 2 * this.lanes.size + STALE_MAX) return;
    this.firsts = firstsHeap();
    for (const each of this.lanes.values()) this.firsts.push({ first: each.first, lane: each });
  }

  private setBehind(lane: Lane, behind: number): void {
    if (lane.behind === Infinity) this.uncounted--;
    else this.behindTotal -= lane.behind;
    lane.behind = behind;
    if (behind === Infinity) this.uncounted++;
    else this.behindTotal += behind;
  }
}

function isBehind(lane: Lane, through: Offset): boolean {
  return lane.behind > 0 && lane.resumeFrom <= through;
}

/** Where an offset stands among the entries of a lane; -1 when it is not handed out. */
export function entryIndex(lane: Lane, at: Offset): number {
  const { entries } = lane;
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as LaneEntry).offset < at) low = middle + 1;
    else high = middle;
  }
  return entries[low]?.offset === at ? low : -1;
}
