/**
 * Loaded into a server before its own program, which knows nothing of it: answers over the channel to the process that
 * started it what is held once all garbage is collected.
 */
import { setTimeout as delay } from "node:timers/promises";

/** What a collection sets free may be collected by the next one only. */
const COLLECTIONS = 3;

process.on("message", async () => {
  for (let i = 0; i < COLLECTIONS; i++) {
    globalThis.gc();
    await delay(10);
  }
  const { heapUsed, external } = process.memoryUsage();
  process.send(heapUsed + external);
});
// Nobody waits for a question at the end.
process.channel.unref();
