import { expect } from "chai";
import { decodePresence, encodePresence } from "../../../src/broker/presence-record.js";
import { RecordCorrupt } from "../../../src/broker/json-record.js";
import { wallMs } from "../../../src/core/units.js";
import { Bench, failure, settled } from "./broker-harness.js";

const HOUR = 3_600_000;

async function names(bench: Bench): Promise<string[]> {
  return (await bench.broker.listSubscribers("orders", undefined, 99)).map(({ name }) => name);
}

/** A queue whose subscribers expire after an hour, with one of them. */
async function benchWith(expireAfterMs = HOUR): Promise<Bench> {
  const bench = await Bench.start();
  await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: { expireAfterMs } });
  await bench.broker.createSubscriber({ queue: "orders", name: "billing", events: [], start: { kind: "earliest" }, own: {}, paused: false, resumeTimeMs: undefined });
  return bench;
}

async function later(bench: Bench, ms: number): Promise<void> {
  bench.clock.advance(ms);
  await settled(20);
}

function own(bench: Bench, expireAfterMs: number | undefined): Promise<unknown> {
  return bench.broker.updateSubscriber({ queue: "orders", name: "billing", settings: { expireAfterMs } });
}

describe("An abandoned subscriber", () => {
  it("expires with what was kept for it, after as long as was said, and not before", async () => {
    const bench = await benchWith();
    await bench.publishMany(3);
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ expireTimeMs: bench.clock.wall() + HOUR, lastClientTimeMs: undefined });
    await later(bench, HOUR - 1);
    expect(await names(bench)).to.deep.equal(["billing"]);
    await later(bench, 1);
    expect(await names(bench)).to.deep.equal([]);
    const { queueId } = await bench.broker.getQueue("orders");
    expect(await bench.engine.state(queueId).list("", undefined, 10)).to.deep.equal([]);
    expect(bench.journal.entries.at(-1)).to.deep.include({ message: "a subscriber had no client for too long and was deleted" });
    expect(bench.journal.entries.at(-1)?.facts).to.include({ queue: "orders", subscriber: "billing", expireAfterMs: HOUR, backlogCount: 3, deadLetterCount: 0 });
  });

  it("is none as long as a client is connected, and the time begins when the last one goes", async () => {
    const bench = await benchWith();
    const [a, b] = await Promise.all([bench.subscribe(), bench.subscribe()]);
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ expireTimeMs: undefined, lastClientTimeMs: undefined });
    a.session.lost();
    await later(bench, 5 * HOUR);
    expect(await names(bench)).to.deep.equal(["billing"]);
    b.session.lost();
    const left = bench.clock.wall();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ expireTimeMs: left + HOUR, lastClientTimeMs: left });
    await later(bench, HOUR - 1);
    const c = await bench.subscribe();
    await later(bench, 2 * HOUR);
    c.session.lost();
    await later(bench, HOUR);
    expect(await names(bench)).to.deep.equal([]);
    expect((await failure(bench.broker.getSubscriber("orders", "billing"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
  });

  it("expires across restarts: time that the server was down counts", async () => {
    const bench = await benchWith();
    const session = await bench.subscribe();
    session.session.lost();
    const left = bench.clock.wall();
    await settled();
    bench.clock.advance(HOUR / 2);
    await bench.crashAndRestart();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ expireTimeMs: left + HOUR, lastClientTimeMs: left });
    bench.clock.advance(HOUR / 2);
    await bench.crashAndRestart();
    await bench.broker.getQueue("orders");
    await later(bench, 1);
    expect(await names(bench)).to.deep.equal([]);
  });

  it("is none after a crash that took its client along, until the time has passed once more", async () => {
    const bench = await benchWith();
    await bench.subscribe();
    bench.clock.advance(10 * HOUR);
    await bench.crashAndRestart();
    const started = bench.clock.wall();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ expireTimeMs: started + HOUR, lastClientTimeMs: started });
    await later(bench, HOUR - 1);
    expect(await names(bench)).to.deep.equal(["billing"]);
    await bench.crashAndRestart();
    await bench.broker.getQueue("orders");
    await later(bench, 1);
    expect(await names(bench)).to.deep.equal([]);
  });

  it("is told from one that only a jump of the wall clock has made old", async () => {
    const bench = await benchWith();
    bench.clock.jumpWall(24 * HOUR);
    await later(bench, HOUR - 1);
    expect(await names(bench)).to.deep.equal(["billing"]);
  });

  it("has a time of its own, or none, whatever the queue says", async () => {
    const bench = await benchWith();
    await own(bench, 0);
    await later(bench, 10 * HOUR);
    expect(await names(bench)).to.deep.equal(["billing"]);
    await own(bench, undefined);
    await later(bench, 1);
    expect(await names(bench)).to.deep.equal([]);
    const other = await benchWith(0);
    await own(other, 2 * HOUR);
    await later(other, HOUR);
    await other.broker.updateQueue({ name: "orders", queueId: "", ordering: undefined, changes: { expireAfterMs: 60_000 } });
    await later(other, HOUR - 1);
    expect(await names(other)).to.deep.equal(["billing"]);
    await later(other, 1);
    expect(await names(other)).to.deep.equal([]);
  });

  it("is made anew by who comes too late", async () => {
    const bench = await benchWith();
    await later(bench, HOUR);
    expect((await bench.subscribe()).heard.facts).to.include({ created: true });
  });

  it("has a record of its clients that is read back, and is nobody's in a directory of before", async () => {
    for (const presence of [{ kind: "connected" }, { kind: "never" }, { kind: "left", timeMs: wallMs(7) }] as const) expect(decodePresence("s", encodePresence(presence))).to.deep.equal(presence);
    expect(() => decodePresence("s", Buffer.from('{"format":1,"leftTimeMs":"x"}'))).to.throw(RecordCorrupt);
    const bench = await benchWith();
    const { queueId } = await bench.broker.getQueue("orders");
    await bench.engine.state(queueId).commit([{ key: "a/billing", value: null, expect: "any" }]);
    bench.clock.advance(2 * HOUR);
    await bench.crashAndRestart();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ expireTimeMs: bench.clock.wall() + HOUR });
  });
});
