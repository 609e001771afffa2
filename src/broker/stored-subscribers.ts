import type { ClientPresence } from "../core/client-absence.js";
import type { State } from "../ports/state.js";
import type { StoredCursor } from "./cursor-writer.js";
import { JsonRecord, RecordCorrupt } from "./json-record.js";
import { decodePresence, encodePresence } from "./presence-record.js";
import { cursorKey, deadLetterCountKey, deadLetterPrefix, droppedCountKey, presenceKey, SUBSCRIBER_PREFIX, subscriberKey } from "./state-keys.js";
import { decodeSubscriberRecord, encodeSubscriberRecord } from "./subscriber-record.js";
import type { SubscriberRecord } from "./subscriber-record.js";

const ENTRIES_AT_ONCE = 256;
/** Dead letters carry their messages, so few are listed at once. */
const DEAD_LETTERS_AT_ONCE = 32;

/** Everything that is stored of a durable subscriber, but for its dead letters themselves. */
export interface StoredSubscriber {
  readonly record: SubscriberRecord;
  readonly cursorBytes: Buffer;
  readonly cursor: StoredCursor;
  /** Undefined: it was stored before there was a record of clients. */
  readonly presence: ClientPresence | undefined;
}

/** The durable subscribers of one queue on its State. */
export class StoredSubscribers {
  constructor(
    private readonly queue: string,
    private readonly state: State,
  ) {}

  /** All of them. RecordCorrupt on one that cannot be read. */
  async *all(): AsyncGenerator<StoredSubscriber, void, void> {
    let after: string | undefined;
    for (;;) {
      const entries = await this.state.list(SUBSCRIBER_PREFIX, after, ENTRIES_AT_ONCE);
      for (const { key, value } of entries) yield await this.withCursor(decodeSubscriberRecord(key.slice(SUBSCRIBER_PREFIX.length), value));
      after = entries[entries.length - 1]?.key;
      if (entries.length < ENTRIES_AT_ONCE) return;
    }
  }

  async get(name: string): Promise<StoredSubscriber | undefined> {
    const entry = await this.state.get(subscriberKey(name));
    return entry === undefined ? undefined : this.withCursor(decodeSubscriberRecord(name, entry.value));
  }

  /** Stores a new one, and what identifies its cursor from then on. */
  async create(record: SubscriberRecord, cursorBytes: Buffer): Promise<StoredCursor> {
    const [, token] = await this.state.commit([
      { key: subscriberKey(record.name), value: encodeSubscriberRecord(record), expect: "absent" },
      { key: cursorKey(record.name), value: cursorBytes, expect: "absent" },
      { key: presenceKey(record.name), value: encodePresence({ kind: "never" }), expect: "any" },
    ]);
    if (token === undefined) throw new Error("a commit of a new subscriber came back without its tokens");
    return { token, deadLetters: 0, dropped: 0 };
  }

  /** Removes everything, the dead letters last. */
  async remove(name: string): Promise<void> {
    const keys = [subscriberKey(name), cursorKey(name), presenceKey(name), deadLetterCountKey(name), droppedCountKey(name)];
    await this.state.commit(keys.map((key) => ({ key, value: null, expect: "any" })));
    await this.removeDeadLetters(name);
  }

  async removeDeadLetters(name: string): Promise<void> {
    for (;;) {
      const letters = await this.state.list(deadLetterPrefix(name), undefined, DEAD_LETTERS_AT_ONCE);
      if (letters.length === 0) return;
      await this.state.commit(letters.map(({ key }) => ({ key, value: null, expect: "any" })));
    }
  }

  private async withCursor(record: SubscriberRecord): Promise<StoredSubscriber> {
    const { name } = record;
    const cursor = await this.state.get(cursorKey(name));
    if (cursor === undefined) throw new RecordCorrupt(`subscriber ${name} of queue ${this.queue} has no cursor`);
    const deadLetters = await this.count(deadLetterCountKey(name), `the dead letter count of subscriber ${name}`);
    const dropped = await this.count(droppedCountKey(name), `the count of dropped messages of subscriber ${name}`);
    const clients = await this.state.get(presenceKey(name));
    const presence = clients === undefined ? undefined : decodePresence(name, clients.value);
    return { record, cursorBytes: cursor.value, cursor: { token: cursor.token, deadLetters, dropped }, presence };
  }

  /** 0 where nothing is stored. */
  private async count(key: string, what: string): Promise<number> {
    const entry = await this.state.get(key);
    return entry === undefined ? 0 : new JsonRecord(entry.value, what).count("count");
  }
}
