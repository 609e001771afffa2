import { expect } from "chai";
import { BrokerError } from "../../../src/core/errors.js";
import { offset, wallMs } from "../../../src/core/units.js";
import type { WallMs } from "../../../src/core/units.js";
import { LogCorrupt } from "../../../src/ports/log.js";
import { lastBefore } from "../../../src/broker/start-offset.js";
import { Bench, failure } from "./broker-harness.js";

const MINUTE_MS = 60_000;

/** Three batches of two messages each, one a minute; answers when each was published. */
async function threeBatches(bench: Bench): Promise<[WallMs, WallMs, WallMs]> {
  const times: WallMs[] = [];
  for (let i = 0; i < 3; i++) {
    bench.clock.advance(MINUTE_MS);
    times.push(bench.clock.wall());
    await bench.publishMany(2);
  }
  return times as [WallMs, WallMs, WallMs];
}

function from(timeMs: number): { start: { kind: "from_time"; timeMs: WallMs } } {
  return { start: { kind: "from_time", timeMs: wallMs(timeMs) } };
}

describe("A start at a time", () => {
  it("is the first message published then or later", async () => {
    const bench = await Bench.start();
    const [one, two, three] = await threeBatches(bench);
    for (const [time, first] of [[one, 1], [one + 1, 3], [two, 3], [two + 1, 5], [three, 5]] as const) {
      for (const subscriber of [`at-${time}`, ""]) {
        const session = await bench.subscribe({ subscriber, ...from(time) });
        expect((await session.received(7 - first))[0], String(time)).to.equal(first);
        session.lost();
      }
    }
  });

  it("before the log is the oldest message, and after it what comes next", async () => {
    const bench = await Bench.start();
    const [, , three] = await threeBatches(bench);
    expect(await (await bench.subscribe({ subscriber: "a", ...from(0) })).received(6)).to.deep.equal([1, 2, 3, 4, 5, 6]);
    const later = await bench.subscribe({ subscriber: "b", ...from(three + 1) });
    const future = await bench.subscribe({ subscriber: "c", ...from(three + 3_600_000) });
    bench.clock.advance(1);
    await bench.publishMany(1);
    expect(await later.received(1)).to.deep.equal([7]);
    expect(await future.received(1)).to.deep.equal([7]);
  });

  it("on an empty queue is what comes first", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe(from(bench.clock.wall()));
    await bench.publishMany(1);
    expect(await session.received(1)).to.deep.equal([1]);
  });

  it("in what was purged is the oldest message left, without a gap", async () => {
    const bench = await Bench.start();
    const [one] = await threeBatches(bench);
    await bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(3), dryRun: false });
    const session = await bench.subscribe(from(one));
    expect(await session.received(3)).to.deep.equal([4, 5, 6]);
    expect(session.heard.gaps).to.deep.equal([]);
  });

  it("may be said at every run, and refuses another one, also after a restart", async () => {
    const bench = await Bench.start();
    const [one, two] = await threeBatches(bench);
    await bench.subscribe(from(two));
    for (const restart of [false, true]) {
      if (restart) await bench.crashAndRestart();
      expect((await bench.subscribe(from(two))).heard.facts?.created).to.equal(false);
      expect((await bench.broker.getSubscriber("orders", "billing")).start).to.deep.equal(from(two).start);
      const refused = await failure(bench.subscribe(from(one)));
      expect(refused.reason).to.equal("START_MISMATCH");
      expect(refused.metadata).to.include({ field: "open.start", value: `at ${new Date(one).toISOString()}`, stored: `at ${new Date(two).toISOString()}` });
      expect((await failure(bench.subscribe({ start: { kind: "earliest" } }))).reason).to.equal("START_MISMATCH");
    }
  });

  it("holds for a subscriber that is made before any client comes, and explains what lies before it", async () => {
    const bench = await Bench.start();
    const [, two] = await threeBatches(bench);
    const made = { queue: "orders", name: "audit", events: [], ...from(two), own: {}, paused: false, resumeTimeMs: undefined };
    expect((await bench.broker.createSubscriber(made)).committedOffset).to.equal(2);
    expect((await bench.broker.createSubscriber(made)).backlogCount).to.equal(4);
    expect((await bench.broker.explainMessage("orders", offset(2), "audit")).map(({ reason }) => reason)).to.deep.equal(["BEFORE_START"]);
  });

  it("that has to read headers which are damaged is DATA_LOSS, and names them", async () => {
    const log = { head: () => ({ ...EMPTY, next: offset(9) }), headers: () => Promise.reject(new LogCorrupt(offset(3), offset(6))) };
    const refused = await lastBefore(wallMs(5), "orders", log).then((found) => expect.fail(`found ${found}`), (error: unknown) => error);
    expect(refused).to.be.instanceOf(BrokerError).and.include({ reason: "CHUNK_CORRUPT" });
    expect((refused as BrokerError).metadata).to.deep.equal({ queue: "orders", first: "3", last: "6" });
  });
});

const EMPTY = { first: offset(1), next: offset(1), cumulativeMessages: 0, cumulativeBytes: 0, messages: 0, bytes: 0 };
