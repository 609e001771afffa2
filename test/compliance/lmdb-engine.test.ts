import { open } from "lmdb";
import { openLmdbEngine } from "../../src/engines/lmdb/lmdb-engine.js";
import { chunkKey, KIND, ownerOf } from "../../src/engines/lmdb/record-keys.js";
import type { Engine } from "../../src/ports/engine.js";
import { NO_TELEMETRY } from "../../src/ports/telemetry.js";
import { newDataDirectory } from "../support/data-directory.js";
import { RecordedJournal } from "../support/recorded-journal.js";
import { describeEngine } from "./engine-compliance.js";

/** Flips one bit in the middle of a stored record, behind the engine's back. */
async function flipBit(directory: string, key: Buffer): Promise<void> {
  const db = open<Buffer, Buffer>({ path: directory, noSubdir: false, overlappingSync: false, keyEncoding: "binary", encoding: "binary" });
  await db.transaction(() => {
    const value = Buffer.from(db.getBinary(key) ?? []);
    if (value.length === 0) throw new Error("there is no such record");
    const middle = value.length >> 1;
    value[middle] = (value[middle] ?? 0) ^ 4;
    db.putSync(key, value);
  });
  await db.close();
}

describeEngine("LMDB", async () => {
  const directory = await newDataDirectory();
  const start = (): Promise<Engine> =>
    openLmdbEngine({ directory: directory.path, freeDiskBytesMin: 0, journal: new RecordedJournal(), telemetry: NO_TELEMETRY });
  let engine = await start();
  return {
    engine,
    restart: async () => {
      await engine.close();
      engine = await start();
      return engine;
    },
    damage: async (queue, first, part) => {
      await engine.close();
      await flipBit(directory.path, chunkKey(ownerOf(queue), KIND[part], first));
      engine = await start();
      return engine;
    },
    end: async () => {
      await engine.close();
      await directory.remove();
    },
  };
});
