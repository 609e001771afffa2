/** A validated message as a publisher hands it in; the broker adds offset and publish time. */
export interface NewMessage {
  readonly event: string;
  readonly payload: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
  /** Empty: the publisher named none, and the message is never deduplicated. */
  readonly messageId: string;
  /** Empty: none; on an ordered queue such messages share one lane. */
  readonly orderingKey: string;
  /** How long it is worth delivering, from its publish time on. Absent: for ever. */
  readonly ttlMs?: number | undefined;
}
