/**
 * A process that opens a data directory and says on stdout, in lines, what became of it:
 *
 *     open               the engine is open; it stays so until the process is killed
 *     next <n>           in mode "append": everything below offset n is durable, by the engine's word
 *     refused <ms> …     it is not open; why, and how long finding out took
 */
import { openLmdbEngine } from "../../src/engines/lmdb/lmdb-engine.js";
import { NO_TELEMETRY } from "../../src/ports/telemetry.js";
import { chunksAfter } from "./chunks.js";
import { RecordedJournal } from "./recorded-journal.js";

const [directory = "", mode = "hold"] = process.argv.slice(2);

const began = Date.now();
try {
  const engine = await openLmdbEngine({ directory, freeDiskBytesMin: 0, journal: new RecordedJournal(), telemetry: NO_TELEMETRY });
  process.stdout.write("open\n");
  setInterval(() => undefined, 60_000);
  const log = await engine.openLog("q");
  while (mode === "append") {
    const { next } = await log.append(chunksAfter(log.head(), [3, 50]), log.head().next);
    process.stdout.write(`next ${next}\n`);
  }
} catch (error) {
  process.stdout.write(`refused ${Date.now() - began} ${error instanceof Error ? error.message : String(error)}\n`);
}
