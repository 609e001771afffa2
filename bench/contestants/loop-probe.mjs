/**
 * Loaded into a server before its own program, which knows nothing of it: tells the process that started it how long its event
 * loop was held at most. Looked at in each turn of the loop, a millisecond apart at least: how much processor time the thread
 * has taken since, which a busy machine does not falsify, and how much time has passed.
 */
import { openSync, readSync } from "node:fs";
import { performance, PerformanceObserver } from "node:perf_hooks";

const SLICE_MS = 5;
const NS_PER_MS = 1e6;
const statistics = Buffer.alloc(128);
const file = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");

let longestCpuMs = 0;
let longestMs = 0;
let overSlice = 0;
let collectionMs = 0;
let lastCpuMs = cpuMs();
let lastMs = performance.now();

function cpuMs() {
  const length = readSync(file, statistics, 0, statistics.length, 0);
  return Number(statistics.toString("latin1", 0, length).split(" ", 1)[0]) / NS_PER_MS;
}

setInterval(() => {
  const cpu = cpuMs();
  const now = performance.now();
  longestCpuMs = Math.max(longestCpuMs, cpu - lastCpuMs);
  longestMs = Math.max(longestMs, now - lastMs);
  if (cpu - lastCpuMs > SLICE_MS) overSlice++;
  lastCpuMs = cpu;
  lastMs = now;
}, 1).unref();

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collectionMs = Math.max(collectionMs, duration);
}).observe({ entryTypes: ["gc"] });

// Each question starts anew.
process.on("message", () => {
  process.send({ longestCpuMs, longestMs, overSlice, collectionMs });
  longestCpuMs = longestMs = overSlice = collectionMs = 0;
});
process.channel.unref();
