import { BrokerError } from "../core/errors.js";
import { StateConflict } from "../ports/state.js";
import type { QueueSettings } from "./api.js";
import { Queue } from "./queue.js";
import type { QueueParts } from "./queue.js";
import { decodeQueueRecord, DELETED_PREFIX, encodeQueueRecord, QUEUE_PREFIX } from "./queue-record.js";
import type { QueueRecord } from "./queue-record.js";
import { SerialByName } from "./serial-by-name.js";

const ENTRIES_AT_ONCE = 256;
const NO_VALUE = Buffer.alloc(0);

/** The queues of the broker by name: what the catalog says, and those that are open. A queue is opened when it is first needed. */
export class QueueRegistry {
  private readonly records = new Map<string, QueueRecord>();
  private readonly open = new Map<string, Queue>();
  private readonly serial = new SerialByName();

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
        record = await this.make({ name, ordering: "UNORDERED" });
      }
      return this.openOne(record);
    });
  }

  /** The queue that is there, if it was made with the same settings; QUEUE_EXISTS if it has others. */
  create(settings: QueueSettings): Promise<Queue> {
    return this.serial.run(settings.name, async () => {
      const known = this.records.get(settings.name);
      if (known !== undefined && known.ordering !== settings.ordering) {
        throw new BrokerError("QUEUE_EXISTS", `there is a queue ${settings.name} already, and it is ${known.ordering}: choose another name`, {
          queue: settings.name,
          ordering: known.ordering,
        });
      }
      return this.openOne(known ?? (await this.make(settings)));
    });
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
    await engine.catalog.commit([{ key: DELETED_PREFIX + record.id, value: null, expect: "any" }]);
    journal.info("queue deleted", { queue: name, queueId: record.id });
  }

  private async make({ name, ordering }: QueueSettings): Promise<QueueRecord> {
    const { engine, random, clock, journal } = this.parts;
    const record: QueueRecord = { name, id: random.id(), ordering, createTimeMs: clock.wall() };
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

/** The error of whoever names a queue that is not there. */
function queueNotFound(name: string): BrokerError {
  return new BrokerError("QUEUE_NOT_FOUND", `there is no queue ${name}: create it first`, { queue: name });
}
