/**
 * Messages of one frame as their publisher encoded them, checked and found to be, field by field, the bytes that are stored: only
 * offset and publish time are missing. None has a message id. Costs no object a message. `source` must not change any more.
 */
export class EncodedMessages {
  /**
   * @param starts where the fields of each message begin in `source`
   * @param ends where they end
   * @param events the event names that occur, each once
   * @param eventIndex of each message, an index into `events`
   * @param laneHash of each message's ordering key, 0 without one; undefined: no message has a key
   */
  constructor(
    readonly source: Buffer,
    readonly starts: Uint32Array,
    readonly ends: Uint32Array,
    readonly events: readonly string[],
    readonly eventIndex: Uint16Array,
    readonly laneHash: BigUint64Array | undefined,
  ) {}

  /** Some of its messages alone, by index. */
  only(indices: readonly number[]): EncodedMessages {
    const { source, starts, ends, events, eventIndex, laneHash } = this;
    return new EncodedMessages(
      source,
      Uint32Array.from(indices, (index) => starts[index] ?? 0),
      Uint32Array.from(indices, (index) => ends[index] ?? 0),
      events,
      Uint16Array.from(indices, (index) => eventIndex[index] ?? 0),
      laneHash && BigUint64Array.from(indices, (index) => laneHash[index] ?? 0n),
    );
  }

  get length(): number {
    return this.starts.length;
  }
}
