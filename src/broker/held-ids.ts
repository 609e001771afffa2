import { wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import type { SchedulePlace } from "./state-keys.js";

/** What is known of a message that is put off, by its id. */
export interface HeldId extends SchedulePlace {
  readonly fingerprint: bigint;
  readonly acceptTimeMs: WallMs;
}

/** Each grows by itself, so that growing never takes long. */
const SHARDS = 256;
const FIRST_PLACES = 8;
const SHARD_BITS = 8n;
/** Numbers of one place: due time, number, accept time. */
const NUMBERS = 3;

/**
 * The message ids of what a queue has put off, by their 64-bit hashes: 40 bytes an id, in tables of which at least a quarter is
 * free. An id is held until its message is in the log or cancelled, whatever the dedup window.
 */
export class HeldIds {
  private readonly shards: (Shard | undefined)[] = [];
  private total = 0;

  get size(): number {
    return this.total;
  }

  /** `id` is not 0, here and below. */
  find(id: bigint): HeldId | undefined {
    return this.total === 0 ? undefined : this.shards[shardOf(id)]?.find(id);
  }

  /** Holds an id that is not held yet. */
  add(id: bigint, held: HeldId): void {
    const index = shardOf(id);
    (this.shards[index] ??= new Shard()).add(id, held);
    this.total++;
  }

  /** Lets go of an id, if it is this message that holds it. */
  remove(id: bigint, number: number): void {
    if (this.shards[shardOf(id)]?.remove(id, number) === true) this.total--;
  }
}

/** The lowest bits choose the shard; those above them the place in it. */
function shardOf(id: bigint): number {
  return Number(id % BigInt(SHARDS));
}

/** A table with open addressing. What is removed leaves no trace: those behind it move up. */
class Shard {
  private ids = new BigUint64Array(FIRST_PLACES);
  private fingerprints = new BigUint64Array(FIRST_PLACES);
  private numbers = new Float64Array(NUMBERS * FIRST_PLACES);
  private count = 0;

  find(id: bigint): HeldId | undefined {
    const place = this.placeOf(id);
    if (this.ids[place] !== id) return undefined;
    return this.at(place);
  }

  add(id: bigint, held: HeldId): void {
    if ((this.count + 1) * 4 > this.ids.length * 3) this.grow();
    this.put(this.placeOf(id), id, held);
    this.count++;
  }

  remove(id: bigint, number: number): boolean {
    let free = this.placeOf(id);
    if (this.ids[free] !== id || this.at(free).number !== number) return false;
    const mask = this.ids.length - 1;
    for (let place = (free + 1) & mask; this.ids[place] !== 0n; place = (place + 1) & mask) {
      const other = this.ids[place] as bigint;
      // It may move up unless its own place lies between the free one and where it is.
      if (((place - this.homeOf(other)) & mask) < ((place - free) & mask)) continue;
      this.put(free, other, this.at(place));
      free = place;
    }
    this.ids[free] = 0n;
    this.count--;
    return true;
  }

  /** Where the id is, or the free place where it belongs. */
  private placeOf(id: bigint): number {
    const mask = this.ids.length - 1;
    let place = this.homeOf(id);
    while (this.ids[place] !== 0n && this.ids[place] !== id) place = (place + 1) & mask;
    return place;
  }

  private homeOf(id: bigint): number {
    return Number((id >> SHARD_BITS) % BigInt(this.ids.length));
  }

  private at(place: number): HeldId {
    const { numbers } = this;
    return {
      fingerprint: this.fingerprints[place] ?? 0n,
      dueTimeMs: wallMs(numbers[NUMBERS * place] ?? 0),
      number: numbers[NUMBERS * place + 1] ?? 0,
      acceptTimeMs: wallMs(numbers[NUMBERS * place + 2] ?? 0),
    };
  }

  private put(place: number, id: bigint, { fingerprint, dueTimeMs, number, acceptTimeMs }: HeldId): void {
    this.ids[place] = id;
    this.fingerprints[place] = fingerprint;
    this.numbers.set([dueTimeMs, number, acceptTimeMs], NUMBERS * place);
  }

  private grow(): void {
    const { ids, fingerprints, numbers } = this;
    this.ids = new BigUint64Array(2 * ids.length);
    this.fingerprints = new BigUint64Array(2 * ids.length);
    this.numbers = new Float64Array(2 * numbers.length);
    ids.forEach((id, old) => {
      if (id === 0n) return;
      const place = this.placeOf(id);
      this.ids[place] = id;
      this.fingerprints[place] = fingerprints[old] ?? 0n;
      this.numbers.set(numbers.subarray(NUMBERS * old, NUMBERS * old + NUMBERS), NUMBERS * place);
    });
  }
}
