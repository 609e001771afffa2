import { OFFSET_MAX, offset } from "../../src/core/units.js";
import type { Offset } from "../../src/core/units.js";
import { LmdbStore } from "../../src/engines/lmdb/lmdb-store.js";
import { chunkKey, KIND, kindRange, offsetOfKey, ownerOf } from "../../src/engines/lmdb/record-keys.js";

/** Damages the stored body of the chunk that contains a message. No server may have the directory open. */
export async function damageBody(dataDirectory: string, queueId: string, at: number): Promise<void> {
  const store = LmdbStore.open(dataDirectory);
  try {
    const owner = ownerOf(queueId);
    const firsts: Offset[] = store.keys(...kindRange(owner, KIND.body), OFFSET_MAX).map(offsetOfKey);
    const first = firsts.filter((begin) => begin <= at).at(-1);
    if (first === undefined) throw new Error(`queue ${queueId} has no chunk with offset ${at}`);
    const key = chunkKey(owner, KIND.body, offset(first));
    const body = store.get(key);
    if (body === undefined) throw new Error(`the chunk at ${first} has no body`);
    body[body.length - 1] = (body[body.length - 1] ?? 0) ^ 0xff;
    await store.transact(() => {
      store.put(key, body);
    });
  } finally {
    await store.close();
  }
}
