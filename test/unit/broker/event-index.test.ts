import { expect } from "chai";
import { EventIndex } from "../../../src/broker/event-index.js";
import { OTHER_EVENTS } from "../../../src/broker/event-counts.js";
import { Scheduler } from "../../../src/broker/scheduler.js";
import { LIMITS } from "../../../src/core/limits.js";
import { offset } from "../../../src/core/units.js";
import type { Offset } from "../../../src/core/units.js";
import { MemoryDisk } from "../../../src/engines/memory/memory-disk.js";
import { MemoryEngine } from "../../../src/engines/memory/memory-engine.js";
import type { Log } from "../../../src/ports/log.js";
import { EventLoopTurns } from "../../../src/system/turns.js";
import { chunkAfter } from "../../support/chunks.js";
import { ManualClock } from "../../support/manual-clock.js";
import { newMessage } from "../../support/messages.js";
import { RecordedJournal } from "../../support/recorded-journal.js";

const FRESH_MS = LIMITS.eventIndexAgeMs;
const UNUSED_MS = 10 * 60_000;

/** An index over a log whose reads are counted, by a clock that the test drives. */
class IndexBench {
  readonly clock = new ManualClock();
  readonly journal = new RecordedJournal();
  readonly disk = new MemoryDisk();
  /** From where headers were read. */
  readonly reads: number[] = [];
  readonly index: EventIndex;
  /** The oldest message for readers, where it is not that of the log. */
  first: Offset | undefined;

  private constructor(readonly log: Log) {
    const headers = (from: Offset, maxChunks: number): ReturnType<Log["headers"]> => {
      this.reads.push(from);
      return log.headers(from, maxChunks);
    };
    const counted: Log = { head: () => log.head(), append: (...args) => log.append(...args), read: (...args) => log.read(...args), trim: (...args) => log.trim(...args), headers };
    const { clock, journal } = this;
    this.index = new EventIndex({ log: counted, clock, journal, scheduler: new Scheduler(clock), turns: new EventLoopTurns(), first: () => this.first ?? log.head().first });
  }

  static async start(disk = new MemoryDisk()): Promise<IndexBench> {
    const bench = new IndexBench(await new MemoryEngine(disk).openLog("q"));
    return Object.assign(bench, { disk });
  }

  /** Appends one chunk. */
  async append(...events: string[]): Promise<void> {
    await this.log.append([chunkAfter(this.log.head(), events.map((event) => newMessage({ event })))], this.log.head().next);
  }

  async counts(): Promise<Record<string, number>> {
    const counts = await this.index.current();
    return Object.fromEntries(counts.list(undefined, Number.MAX_SAFE_INTEGER).map(({ event, messageCount }) => [event, messageCount]));
  }

  /** The same, once the last answer is too old to be given again. */
  countsAnew(): Promise<Record<string, number>> {
    this.clock.advance(FRESH_MS);
    return this.counts();
  }

  trim(through: number, headersThrough = 0): Promise<unknown> {
    return this.log.trim(offset(through), offset(headersThrough));
  }

  /** From where headers were read since the last call. */
  takeReads(): number[] {
    return this.reads.splice(0);
  }
}

describe("an event index", () => {
  let bench: IndexBench;

  beforeEach(async () => {
    bench = await IndexBench.start();
  });

  it("reads nothing before somebody asks", async () => {
    await bench.append("a");
    expect(bench.reads).to.deep.equal([]);
    expect(await bench.counts()).to.deep.equal({ a: 1 });
  });

  it("reads only what was appended since, once it is too old", async () => {
    await bench.append("a", "b");
    await bench.counts();
    await bench.append("a");
    bench.takeReads();
    expect(await bench.counts(), "within 100 ms").to.deep.equal({ a: 1, b: 1 });
    expect(bench.takeReads()).to.deep.equal([]);
    expect(await bench.countsAnew()).to.deep.equal({ a: 2, b: 1 });
    expect(bench.takeReads()).to.deep.equal([3]);
  });

  it("is counted once for all who ask while it is counted", async () => {
    for (let i = 0; i < 200; i++) await bench.append("a");
    const answers = await Promise.all(Array.from({ length: 10 }, () => bench.counts()));
    expect(answers).to.deep.equal(Array(10).fill({ a: 200 }));
    expect(bench.takeReads()).to.deep.equal([1, 65, 129, 193]);
  });

  it("takes off what was trimmed by its headers, without looking at what is left", async () => {
    for (const event of ["a", "b", "a", "c", "c", "c"]) await bench.append(event);
    await bench.counts();
    await bench.trim(2);
    bench.takeReads();
    expect(await bench.countsAnew()).to.deep.equal({ a: 1, c: 3 });
    expect(bench.takeReads()).to.deep.equal([1]);
  });

  it("is counted anew when the headers of what was trimmed are gone", async () => {
    for (const event of ["a", "b", "a", "c", "c", "c"]) await bench.append(event);
    await bench.counts();
    await bench.trim(2, 2);
    expect(await bench.countsAnew()).to.deep.equal({ a: 1, c: 3 });
    await bench.trim(6, 5);
    expect(await bench.countsAnew()).to.deep.equal({});
  });

  it("is counted from the first message for readers, also inside a chunk", async () => {
    await bench.append("a", "b", "a", "b");
    await bench.append("c");
    expect(await bench.counts()).to.deep.equal({ a: 2, b: 2, c: 1 });
    bench.first = offset(2);
    expect(await bench.countsAnew()).to.deep.equal({ a: 1, b: 2, c: 1 });
    bench.first = offset(4);
    expect(await bench.countsAnew()).to.deep.equal({ b: 1, c: 1 });
  });

  it("is let go of when nobody asks for minutes, and counted anew for the next", async () => {
    await bench.append("a");
    await bench.counts();
    expect(bench.clock.pendingCount).to.equal(1);
    bench.clock.advance(UNUSED_MS);
    expect(bench.clock.pendingCount).to.equal(0);
    bench.takeReads();
    expect(await bench.counts()).to.deep.equal({ a: 1 });
    expect(bench.takeReads()).to.deep.equal([1]);
  });

  it("passes over damaged headers, and says so", async () => {
    for (const event of ["a", "b", "a"]) await bench.append(event);
    bench.disk.corrupt("q", 2, "header");
    expect(await bench.counts()).to.deep.equal({ a: 2 });
    expect(bench.journal.entries.map(({ message }) => message)).to.deep.equal(["stored messages fail their checksum; they are not counted by event"]);
    await bench.trim(2);
    expect(await bench.countsAnew()).to.deep.equal({ a: 1 });
  });

  it("tells 10,000 names apart, and the rest when there is room again", async function () {
    this.timeout(20_000);
    for (let i = 0; i < LIMITS.eventNamesMax + 30; i += 10) await bench.append(...Array.from({ length: 10 }, (_, j) => `e${i + j}`));
    const counts = await bench.counts();
    expect(Object.keys(counts)).to.have.length(LIMITS.eventNamesMax + 1);
    expect(counts[OTHER_EVENTS]).to.equal(30);
    await bench.trim(4_000);
    expect(await bench.countsAnew()).to.include({ [OTHER_EVENTS]: 30 });
    await bench.trim(LIMITS.eventNamesMax - 10);
    const after = await bench.countsAnew();
    expect(Object.keys(after)).to.have.length(40);
    expect(after).to.not.have.property(OTHER_EVENTS);
  });

  it("fails for all who ask when the log does, and is counted anew afterwards", async () => {
    await bench.append("a");
    const broken = new Error("no disk");
    const headers = bench.log.headers.bind(bench.log);
    bench.log.headers = () => Promise.reject(broken);
    const answers = await Promise.allSettled([bench.counts(), bench.counts()]);
    expect(answers.map((answer) => answer.status === "rejected" && answer.reason === broken)).to.deep.equal([true, true]);
    bench.log.headers = headers;
    expect(await bench.counts()).to.deep.equal({ a: 1 });
  });
});
