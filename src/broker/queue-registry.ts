import { BrokerError } from "../core/errors.js";
import { StateConflict } from "../ports/state.js";
import { invalidField } from "../core/names.js";
import type { OpenSession } from "../core/session.js";
import type { QueueSettings, QueueUpdate } from "./api.js";
import { Queue } from "./queue.js";
import type { QueueParts } from "./queue-parts.js";
import { decodeQueueRecord, DELETED_PREFIX, encodeQueueRecord, PUT_OFF_PREFIX, QUEUE_PREFIX } from "./queue-record.js";
import type { QueueRecord } from "./queue-record.js";
import { changedSettings, checkTogether, otherSetting, QUEUE_FIELDS, sameSettings, settingsInEffect } from "./queue-settings.js";
import { SerialByName } from "./serial-by-name.js";

const ENTRIES_AT_ONCE = 256;
const NO_VALUE = Buffer.alloc(0);
/** Where a queue has what its subscribers inherit. */
const DEFAULTS_PATH = "queue.subscriber_defaults";

/** The queues of the broker by name: what the catalog says, and those that are open. A queue is opened when it is first needed. */
export class QueueRegistry {
  private readonly records = new Map<string, QueueRecord>();
  private readonly open = new Map<string, Queue>();
  private readonly serial = new SerialByName();
  private readonly withPutOff: string[] = [];

  constructor(private readonly parts: QueueParts) {}

  /** Reads the catalog, and finishes deletions that a crash cut short. */
  async load(): Promise<void> {
    const { catalog } = this.parts.engine;
    for await (const { key, value } of this.entries(QUEUE_PREFIX)) {
      const name = key.slice(QUEUE_PREFIX.length);
      this.records.set(name, decodeQueueRecord(name, value));
    }
    for await (const { key } of this.entries(DELETED_PREFIX)) {
      await this.parts.engine.drop(key.slice(DELETED_PREFIX.length));
      await catalog.commit([{ key, value: null, expect: "any" }]);
    }
    const names = new Map([...this.records.values()].map(({ id, name }) => [id, name]));
    for await (const { key } of this.entries(PUT_OFF_PREFIX)) {
      const name = names.get(key.slice(PUT_OFF_PREFIX.length));
      if (name !== undefined) this.withPutOff.push(name);
      else await catalog.commit([{ key, value: null, expect: "any" }]);
    }
  }

  /** Queues that may have something put off, or whose messages grow too old: they have to be open, so that it is seen in time. */
  get namesWithDueTimes(): readonly string[] {
    const aging = [...this.records.values()].filter(({ own }) => (own.maxAgeMs ?? 0) > 0);
    return [...new Set([...this.withPutOff, ...aging.map(({ name }) => name)])];
  }

  /** The queue, if it is open. */
  find(name: string): Queue | undefined {
    return this.open.get(name);
  }

  /** Queues that there are. */
  get count(): number {
    return this.records.size;
  }

  /** Queues that are open. */
  opened(): readonly Queue[] {
    return [...this.open.values()];
  }

  /**
   * Opens queues that nobody has asked for yet, one after another, as long as `goesOn`. One that cannot be opened is noted in the
   * journal.
   */
  async openEach(names: readonly string[], goesOn: () => boolean): Promise<void> {
    for (const name of names) {
      if (!goesOn()) return;
      try {
        if (this.exists(name)) await this.get(name, false);
      } catch (error) {
        this.parts.journal.error("a queue cannot be opened", { queue: name, error });
      }
    }
  }

  exists(name: string): boolean {
    return this.records.has(name);
  }

  /** Sorted; those that sort after `after`. */
  names(after: string | undefined, limit: number): readonly string[] {
    return [...this.records.keys()]
      .filter((name) => after === undefined || name > after)
      .sort()
      .slice(0, limit);
  }

  /** The open queue; made when there is none and `orCreate` says so, QUEUE_NOT_FOUND otherwise. */
  async get(name: string, orCreate: boolean): Promise<Queue> {
    const open = this.open.get(name);
    if (open !== undefined) return open;
    return this.serial.run(name, async () => {
      const openByNow = this.open.get(name);
      if (openByNow !== undefined) return openByNow;
      let record = this.records.get(name);
      if (record === undefined) {
        if (!orCreate) throw queueNotFound(name);
        record = await this.make({ name, ordering: "UNORDERED", own: {} });
      }
      return this.openOne(record);
    });
  }

  /** The queue that a session names, made if there is none and `orCreate` says so. One that asks for an incarnation never makes another. */
  async forSession({ queue: name, queueId }: OpenSession, orCreate: boolean): Promise<Queue> {
    if (queueId === "") return this.get(name, orCreate);
    const queue = this.exists(name) ? await this.get(name, false) : undefined;
    if (queue?.id === queueId) return queue;
    const now = queue === undefined ? "does not exist" : `is ${queue.id} now`;
    throw new BrokerError("QUEUE_ID_MISMATCH", `queue ${name} ${now}, not ${queueId}: it was deleted, and offsets of it mean nothing any more`, {
      field: "open.queue_id",
      value: queueId,
      queue_id: queue?.id ?? "",
    });
  }

  /** The queue that is there, if nothing that is said of it is otherwise; QUEUE_EXISTS if something is. */
  create(settings: QueueSettings): Promise<Queue> {
    const { name, ordering, own } = settings;
    return this.serial.run(name, async () => {
      checkTogether({ queue: name, ordering, path: DEFAULTS_PATH }, own, settingsInEffect(this.parts.settings, own));
      const known = this.records.get(name);
      if (known !== undefined) checkSame(known, settings);
      return this.open.get(name) ?? this.openOne(known ?? (await this.make(settings)));
    });
  }

  /** See BrokerApi.updateQueue. */
  update({ name, queueId, ordering, changes }: QueueUpdate): Promise<Queue> {
    return this.serial.run(name, async () => {
      const known = this.records.get(name);
      if (known === undefined) throw queueNotFound(name);
      if (queueId !== "" && queueId !== known.id) throw queueIdMismatch(name, queueId, known.id);
      if (ordering !== undefined && ordering !== known.ordering) throw invalidField("queue.ordering", ordering, `${known.ordering}, as queue ${name} was made; it never changes`);
      const own = changedSettings(known.own, changes);
      checkTogether({ queue: name, ordering: known.ordering, path: DEFAULTS_PATH }, changes, settingsInEffect(this.parts.settings, own));
      const queue = this.open.get(name) ?? (await this.openOne(known));
      if (sameSettings(own, known.own)) return queue;
      const record = { ...known, own };
      await this.replace(record);
      this.records.set(name, record);
      queue.settingsChanged(record);
      return queue;
    });
  }

  /** Writes a changed record over the one that is there. */
  private async replace(record: QueueRecord): Promise<void> {
    const { catalog } = this.parts.engine;
    const key = QUEUE_PREFIX + record.name;
    const entry = await catalog.get(key);
    if (entry === undefined) throw queueNotFound(record.name);
    await catalog.commit([{ key, value: encodeQueueRecord(record), expect: entry.token }]);
  }

  /**
   * Removes the queue for good; its name is free as soon as the catalog says so, while its data still goes. Its sessions
   * end with QUEUE_DELETED.
   */
  async delete(name: string): Promise<void> {
    const { engine, journal } = this.parts;
    const record = await this.serial.run(name, async () => {
      const known = this.records.get(name);
      if (known === undefined) throw queueNotFound(name);
      await engine.catalog.commit([
        { key: QUEUE_PREFIX + name, value: null, expect: "any" },
        { key: DELETED_PREFIX + known.id, value: NO_VALUE, expect: "any" },
      ]);
      this.records.delete(name);
      this.open.get(name)?.close(new BrokerError("QUEUE_DELETED", `queue ${name} was deleted`, { queue: name, queue_id: known.id }));
      this.open.delete(name);
      this.parts.telemetry.forgetQueue(name);
      return known;
    });
    await engine.drop(record.id);
    await engine.catalog.commit([DELETED_PREFIX, PUT_OFF_PREFIX].map((prefix) => ({ key: prefix + record.id, value: null, expect: "any" })));
    journal.info("queue deleted", { queue: name, queueId: record.id });
  }

  private async make({ name, ordering, own }: QueueSettings): Promise<QueueRecord> {
    const { engine, random, clock, journal } = this.parts;
    const record: QueueRecord = { name, id: random.id(), ordering, createTimeMs: clock.wall(), own };
    try {
      await engine.catalog.commit([{ key: QUEUE_PREFIX + name, value: encodeQueueRecord(record), expect: "absent" }]);
    } catch (error) {
      if (!(error instanceof StateConflict)) throw error;
      const entry = await engine.catalog.get(QUEUE_PREFIX + name);
      if (entry === undefined) throw error;
      const theirs = decodeQueueRecord(name, entry.value);
      this.records.set(name, theirs);
      return theirs;
    }
    this.records.set(name, record);
    journal.info("queue created", { queue: name, queueId: record.id });
    return record;
  }

  private async openOne(record: QueueRecord): Promise<Queue> {
    const queue = await Queue.open(record, this.parts);
    this.open.set(record.name, queue);
    return queue;
  }

  private async *entries(prefix: string): AsyncGenerator<{ readonly key: string; readonly value: Buffer }, void, void> {
    let after: string | undefined;
    for (;;) {
      const entries = await this.parts.engine.catalog.list(prefix, after, ENTRIES_AT_ONCE);
      yield* entries;
      after = entries[entries.length - 1]?.key;
      if (entries.length < ENTRIES_AT_ONCE) return;
    }
  }
}

function checkSame({ name, ordering, own }: QueueRecord, claimed: QueueSettings): void {
  if (ordering !== claimed.ordering) {
    throw new BrokerError("QUEUE_EXISTS", `there is a queue ${name} already, and it is ${ordering}: choose another name`, {
      queue: name,
      field: "queue.ordering",
      value: claimed.ordering,
      stored: ordering,
    });
  }
  const other = otherSetting(own, claimed.own);
  if (other === undefined) return;
  const [field, value, stored] = [QUEUE_FIELDS[other], String(claimed.own[other]), String(own[other] ?? "inherited")];
  throw new BrokerError("QUEUE_EXISTS", `there is a queue ${name} already, and its ${field} is ${stored}, not ${value}: change it with UpdateQueue`, {
    queue: name,
    field: `queue.${field}`,
    value,
    stored,
  });
}

function queueIdMismatch(queue: string, asked: string, found: string): BrokerError {
  return new BrokerError("QUEUE_ID_MISMATCH", `queue ${queue} is now incarnation ${found}, not ${asked}; nothing was changed`, {
    field: "queue.queue_id",
    value: asked,
    queue_id: found,
  });
}

/** The error of whoever names a queue that is not there. */
function queueNotFound(name: string): BrokerError {
  return new BrokerError("QUEUE_NOT_FOUND", `there is no queue ${name}: create it first`, { queue: name });
}
