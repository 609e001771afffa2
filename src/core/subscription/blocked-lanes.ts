import type { Offset } from "../units.js";
import type { Return } from "./return.js";
import type { DeadLetter } from "./effects.js";
import type { Lane } from "./lanes.js";
import type { Trouble } from "./trouble.js";

/** Poison that stays where it is, with the counts and the words of the hand-out that made it poison. */
export interface Poison extends Trouble {
  readonly reason: Exclude<DeadLetter["reason"], "REJECTED" | "EXPIRED">;
  /** Who held it last. */
  readonly holderSession: string;
  readonly holderClient: string;
}

/** A message that blocks its lane. */
export interface BlockedMessage {
  readonly offset: Offset;
  readonly poison: Poison;
}

/** The same as a cursor stores it: it is the first message of the lane that has this hash. */
export interface StoredBlock {
  readonly hash: bigint;
  readonly poison: Poison;
}

interface Place extends BlockedMessage {
  readonly lane: Lane;
  /** Told of when the cursor of this version is durable. */
  readonly version: number;
}

/**
 * Lanes that stand still behind poison until somebody decides. Such a message is the first of its lane that is not settled,
 * and nothing of the lane is in flight: the lane has it and all that follows behind it.
 */
export class BlockedLanes {
  private readonly standing = new Map<Offset, Place>();
  /** Decided: on their way to the dead letters, and still in the way. */
  private readonly leaving = new Map<Offset, Place>();
  /** What expired at the head of its lane and is on its way to the dead letters. Not stored: it is found expired once more. */
  private readonly expired = new Map<Offset, Lane>();
  private readonly expiredCounts = new Map<Lane, number>();
  private news: Place[] = [];

  /** @param resume hands a message of a lane out again */
  constructor(private readonly resume: (lane: Lane, at: Offset, how: Return) => void) {}

  /** Lanes that wait for a decision. */
  get count(): number {
    return this.standing.size;
  }

  /** True for a message that is in the way of its lane. */
  has(at: Offset): boolean {
    return this.standing.has(at) || this.leaving.has(at);
  }

  /** True for a lane that stands still. Where it resumes may be a message of another lane, or one of no lane at all. */
  stops(lane: Lane): boolean {
    return (this.standing.get(lane.resumeFrom) ?? this.leaving.get(lane.resumeFrom))?.lane === lane || this.expiredCounts.has(lane);
  }

  /** The next message of a lane with nothing in flight, behind others that left so, leaves for the dead letters. */
  expire(lane: Lane, at: Offset): void {
    this.expired.set(at, lane);
    this.expiredCounts.set(lane, this.expiredIn(lane) + 1);
  }

  /** How many at the head of a lane have expired and are on their way. */
  expiredIn(lane: Lane): number {
    return this.expiredCounts.get(lane) ?? 0;
  }

  /** True for a message that is on its way because it expired. */
  hasExpired(at: Offset): boolean {
    return this.expired.has(at);
  }

  find(at: Offset): Poison | undefined {
    return this.standing.get(at)?.poison;
  }

  /** Those that wait for a decision, by offset. */
  offsets(): readonly Offset[] {
    return [...this.standing.keys()].sort((a, b) => a - b);
  }

  /** @param version of the cursor that has it */
  add(at: Offset, poison: Poison, lane: Lane, version: number): void {
    const place = { offset: at, poison, lane, version };
    this.standing.set(at, place);
    this.news.push(place);
  }

  /** From a cursor: nobody is told again. */
  restore(lane: Lane, poison: Poison): void {
    this.standing.set(lane.first, { offset: lane.first, poison, lane, version: 0 });
  }

  /** It is handed out once more. */
  again(at: Offset, how: Return): void {
    const place = this.standing.get(at);
    if (place === undefined) return;
    this.standing.delete(at);
    this.resume(place.lane, at, how);
  }

  /** It is in nobody's way any more, whatever becomes of it. */
  unblock(at: Offset): void {
    this.standing.delete(at);
  }

  /** It goes to the dead letters; undefined when nothing waits for a decision there. */
  leave(at: Offset): Poison | undefined {
    const place = this.standing.get(at);
    if (place === undefined) return undefined;
    this.standing.delete(at);
    this.leaving.set(at, place);
    return place.poison;
  }

  /** It is gone: its lane may go on behind it. */
  left(at: Offset): Lane | undefined {
    const lane = this.expired.get(at);
    if (lane !== undefined) {
      this.forgetExpired(at, lane);
      return lane;
    }
    const place = this.leaving.get(at);
    this.leaving.delete(at);
    return place?.lane;
  }

  /** Can never be read again: nobody has to decide, or be told. Says how many waited for a decision. */
  drop(first: Offset, last: Offset): number {
    if (this.news.length > 0) this.news = this.news.filter(({ offset: at }) => at < first || at > last);
    let dropped = 0;
    for (const at of this.standing.keys()) if (first <= at && at <= last && this.standing.delete(at)) dropped++;
    for (const at of this.leaving.keys()) if (first <= at && at <= last) this.leaving.delete(at);
    for (const [at, lane] of this.expired) if (first <= at && at <= last) this.forgetExpired(at, lane);
    return dropped;
  }

  /** Everything that a restart must find in the way. */
  stored(): readonly StoredBlock[] {
    return [...this.standing.values(), ...this.leaving.values()].map(({ lane, poison }) => ({ hash: lane.hash, poison }));
  }

  /** The first `max` that are durable, for a session that comes late. */
  known(durableVersion: number, max: number): readonly BlockedMessage[] {
    const known = [...this.standing.values()].filter(({ version }) => version <= durableVersion);
    return known.sort((a, b) => a.offset - b.offset).slice(0, max);
  }

  /** Those that have become durable since the last call, and that nobody was told of. */
  takeNews(durableVersion: number): readonly BlockedMessage[] {
    if (this.news.length === 0) return [];
    const due = this.news.filter(({ version }) => version <= durableVersion);
    this.news = this.news.filter(({ version }) => version > durableVersion);
    return due;
  }

  private forgetExpired(at: Offset, lane: Lane): void {
    this.expired.delete(at);
    const left = this.expiredIn(lane) - 1;
    if (left > 0) this.expiredCounts.set(lane, left);
    else this.expiredCounts.delete(lane);
  }
}
