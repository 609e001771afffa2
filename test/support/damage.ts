import { deadLetterKey } from "../../src/broker/state-keys.js";
import { OFFSET_MAX, offset } from "../../src/core/units.js";
import { LmdbStore } from "../../src/engines/lmdb/lmdb-store.js";
import { chunkKey, KIND, kindRange, offsetOfKey, ownerOf, textKey } from "../../src/engines/lmdb/record-keys.js";

/** Damages the stored body of the chunk that contains a message. No server may have the directory open. */
export function damageBody(dataDirectory: string, queueId: string, at: number): Promise<void> {
  const owner = ownerOf(queueId);
  return damage(dataDirectory, (store) => {
    const first = store
      .keys(...kindRange(owner, KIND.body), OFFSET_MAX)
      .map(offsetOfKey)
      .filter((begin) => begin <= at)
      .at(-1);
    return chunkKey(owner, KIND.body, first ?? offset(0));
  });
}

/** Damages one stored dead letter. No server may have the directory open. */
export function damageDeadLetter(dataDirectory: string, queueId: string, subscriber: string, at: number): Promise<void> {
  return damage(dataDirectory, () => textKey(ownerOf(queueId), KIND.state, deadLetterKey(subscriber, offset(at))));
}

async function damage(dataDirectory: string, keyIn: (store: LmdbStore) => Buffer): Promise<void> {
  const store = LmdbStore.open(dataDirectory);
  try {
    const key = keyIn(store);
    const record = store.get(key);
    if (record === undefined) throw new Error("there is no such record to damage");
    record[record.length - 1] = (record[record.length - 1] ?? 0) ^ 0xff;
    await store.transact(() => {
      store.put(key, record);
    });
  } finally {
    await store.close();
  }
}
