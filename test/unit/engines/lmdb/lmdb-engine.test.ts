import { randomInt } from "node:crypto";
import { open as openFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { OFFSET_MAX, offset } from "../../../../src/core/units.js";
import { DataDirectoryError } from "../../../../src/engines/lmdb/data-directory-error.js";
import { encodeFormatRecord, FORMAT_VERSION, newFormatRecord } from "../../../../src/engines/lmdb/format-record.js";
import { openLmdbEngine } from "../../../../src/engines/lmdb/lmdb-engine.js";
import type { LmdbEngine } from "../../../../src/engines/lmdb/lmdb-engine.js";
import { LmdbStore } from "../../../../src/engines/lmdb/lmdb-store.js";
import { KIND, NO_QUEUE, ownerOf, ownerRange, textKey } from "../../../../src/engines/lmdb/record-keys.js";
import { checkStoreFile } from "../../../../src/engines/lmdb/store-file.js";
import { StateCorrupt } from "../../../../src/ports/state.js";
import { NO_TELEMETRY } from "../../../../src/ports/telemetry.js";
import { EVERYTHING, failure, fill, put } from "../../../compliance/engine-bench.js";
import { ChildLines } from "../../../support/child-lines.js";
import { newDataDirectory } from "../../../support/data-directory.js";
import { RecordedJournal } from "../../../support/recorded-journal.js";

const APPENDER = new URL("../../../support/engine-process.ts", import.meta.url);

describe("LMDB engine", function () {
  this.timeout(60_000);
  let directory: Awaited<ReturnType<typeof newDataDirectory>>;
  let journal: RecordedJournal;
  const start = (freeDiskBytesMin = 0): Promise<LmdbEngine> => openLmdbEngine({ directory: directory.path, freeDiskBytesMin, journal, telemetry: NO_TELEMETRY });
  /** Looks into the store behind the engine's back; no engine may be open. */
  const inStore = async <T>(look: (store: LmdbStore) => Promise<T> | T): Promise<T> => {
    const store = LmdbStore.open(directory.path);
    try {
      return await look(store);
    } finally {
      await store.close();
    }
  };

  beforeEach(async () => {
    directory = await newDataDirectory();
    journal = new RecordedJournal();
  });

  afterEach(() => directory.remove());

  it("makes its directory for its owner only, and gives it an identity for good", async () => {
    const engine = await start();
    expect((await stat(directory.path)).mode & 0o777).to.equal(0o700);
    expect(engine.directoryId).to.match(/^[0-9a-f]{32}$/);
    await engine.close();
    const again = await start();
    expect(again.directoryId).to.equal(engine.directoryId);
    await again.close();
  });

  it("says which directory it cannot make", async () => {
    await writeFile(directory.path, "a file");
    expect((await failure(start(), DataDirectoryError)).message).to.contain(`${directory.path} cannot be made`);
  });

  it("refuses a directory of a newer format, and leaves it as it is", async () => {
    await (await start()).close();
    const newer = encodeFormatRecord(newFormatRecord(), FORMAT_VERSION + 1);
    const key = textKey(NO_QUEUE, KIND.format, "");
    await inStore((store) =>
      store.transact(() => {
        store.put(key, newer);
      }),
    );
    const error = await failure(start(), DataDirectoryError);
    expect(error.message).to.contain(`data format ${FORMAT_VERSION + 1}`).and.to.contain(directory.path);
    expect(await inStore((store) => store.get(key)?.equals(newer))).to.equal(true);
  });

  it("refuses a directory whose format record is damaged", async () => {
    await (await start()).close();
    await inStore((store) =>
      store.transact(() => {
        store.put(textKey(NO_QUEUE, KIND.format, ""), Buffer.alloc(28, 1));
      }),
    );
    expect((await failure(start(), DataDirectoryError)).message).to.contain("damaged");
  });

  it("refuses a store whose file was cut, instead of dying of it later", async () => {
    const engine = await start();
    const log = await engine.openLog("q");
    await fill(log, ...new Array<number>(40).fill(200));
    await engine.close();
    const file = join(directory.path, "data.mdb");
    const { size } = await stat(file);
    await truncate(file, Math.floor(size / 2));
    const error = await failure(start(), DataDirectoryError);
    expect(error.message).to.contain("was cut").and.to.contain(String(size)).and.to.contain(file);
  });

  it("refuses a file that is no store", async () => {
    await (await start()).close();
    const file = await openFile(join(directory.path, "data.mdb"), "r+");
    await file.write(Buffer.alloc(8_192, 0x41), 0, 8_192, 0);
    await file.close();
    expect((await failure(start(), DataDirectoryError)).message).to.contain("is no Tidemark store");
  });

  it("fills up the few pages that LMDB may rightly lack at the end of its file", async () => {
    const engine = await start();
    await fill(await engine.openLog("q"), ...new Array<number>(40).fill(200));
    await engine.close();
    const file = join(directory.path, "data.mdb");
    const { size } = await stat(file);
    await truncate(file, size - 3 * 4_096);
    await checkStoreFile(directory.path, journal);
    expect((await stat(file)).size).to.equal(size);
    expect(journal.entries.map(({ level, message }) => `${level} ${message}`)).to.deep.equal(["warn filled up the end of the store's file"]);
  });

  it("has no room below the watermark, says so once, and has room without one", async () => {
    const full = await start(Number.MAX_SAFE_INTEGER);
    expect(full.hasRoom).to.equal(false);
    await fill(await full.openLog("q"), 1);
    await full.close();
    expect(journal.entries.map(({ level, message }) => `${level} ${message}`)).to.deep.equal(["error no room on the disk: publishing is refused"]);
    for (const freeDiskBytesMin of [0, 1]) {
      const engine = await start(freeDiskBytesMin);
      expect(engine.hasRoom).to.equal(true);
      await engine.close();
    }
  });

  it("names a damaged state entry, and lets it be written over", async () => {
    const engine = await start();
    await engine.state("q").commit([put("k", "value")]);
    await engine.close();
    const key = textKey(ownerOf("q"), KIND.state, "k");
    await inStore((store) =>
      store.transact(() => {
        const record = store.get(key)!;
        record[record.length - 1] = 0;
        store.put(key, record);
      }),
    );
    const again = await start();
    expect((await failure(again.state("q").get("k"), StateCorrupt)).key).to.equal("k");
    await again.state("q").commit([put("k", "new")]);
    expect((await again.state("q").get("k"))?.value.toString()).to.equal("new");
    await again.close();
  });

  it("finishes at the next open the dropping of a queue that a stop cut short", async () => {
    const engine = await start();
    await fill(await engine.openLog("q"), ...new Array<number>(1_000).fill(1));
    let dropped = false;
    engine.drop("q").then(
      () => {
        dropped = true;
      },
      () => undefined,
    );
    await engine.close();
    const remaining = (): Promise<number> => inStore((store) => store.keys(...ownerRange(ownerOf("q")), OFFSET_MAX).length);
    expect(await remaining()).to.be.greaterThan(0);
    expect(dropped).to.equal(false);
    for (let round = 0; round < 50 && (await remaining()) > 0; round++) {
      const again = await start();
      for (let i = 0; i < 5; i++) await again.catalog.commit([put("round", String(round))]);
      await again.close();
    }
    expect(await remaining()).to.equal(0);
  });

  it("keeps every append that it answered when it is killed at any moment", async () => {
    const delays = Array.from({ length: 6 }, () => randomInt(0, 250));
    for (const delayMs of delays) {
      const appender = new ChildLines(APPENDER, [directory.path, "append"]);
      expect(await appender.line(0)).to.equal("open");
      await appender.line(1);
      const until = Date.now() + delayMs;
      for (let i = 2; Date.now() < until; i++) await appender.line(i);
      await appender.end();
      const acknowledged = Number(/^next (\d+)$/.exec(appender.lines[appender.lines.length - 1]!)?.[1]);
      const engine = await start();
      const log = await engine.openLog("q");
      const why = `killed after ${delays.join(", ")} ms`;
      expect(log.head().next, why).to.be.at.least(acknowledged);
      let next = 1;
      while (next < log.head().next) {
        for (const chunk of await log.read(offset(next), { ...EVERYTHING, maxMessages: 1_000 })) {
          expect(chunk.first, why).to.equal(next);
          next = chunk.last + 1;
        }
      }
      expect(log.head().messages, why).to.equal(next - 1);
      await engine.close();
    }
  });
});

describe("LMDB store", () => {
  it("writes nothing of a transaction that throws, and goes on", async () => {
    const directory = await newDataDirectory();
    const store = LmdbStore.open(directory.path);
    const key = Buffer.from("key");
    const error = await failure(
      store.transact(() => {
        store.put(key, Buffer.from("half"));
        throw new RangeError("in the middle");
      }),
      RangeError,
    );
    expect(error.message).to.equal("in the middle");
    expect(store.get(key)).to.equal(undefined);
    await store.transact(() => {
      store.put(key, Buffer.from("whole"));
      expect(store.get(key)?.toString()).to.equal("whole");
    });
    expect(store.get(key)?.toString()).to.equal("whole");
    await store.close();
    await directory.remove();
  });
});
