import { expect } from "chai";
import type { OpenSession } from "../../../src/core/session.js";
import { offset } from "../../../src/core/units.js";
import { Bench, failure, run, settled } from "./broker-harness.js";

const AFTER_2 = { kind: "after_offset", offset: offset(2) } as const;

async function messageCount(bench: Bench): Promise<number> {
  return (await bench.broker.getQueue("orders")).messageCount;
}

/** Lets the trimmer look several times. */
async function letTrim(bench: Bench): Promise<void> {
  for (let i = 0; i < 10; i++) {
    bench.clock.advance(600);
    await settled(8);
  }
}

describe("Durable subscribers", () => {
  it("begin with the oldest message that is left, with the next one, or after an offset", async () => {
    const bench = await Bench.start();
    await bench.publishMany(4);
    expect(await (await bench.subscribe({ subscriber: "default" })).received(4)).to.deep.equal([1, 2, 3, 4]);
    expect(await (await bench.subscribe({ subscriber: "after", start: AFTER_2 })).received(2)).to.deep.equal([3, 4]);
    const latest = await bench.subscribe({ subscriber: "latest", start: { kind: "latest" } });
    await bench.publishMany(1);
    expect(await latest.received(1)).to.deep.equal([5]);
  });

  it("are made once when several sessions ask at the same time", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const sessions = await Promise.all([bench.subscribe(), bench.subscribe(), bench.subscribe()]);
    expect(sessions.map(({ heard }) => heard.facts?.created).sort()).to.deep.equal([false, false, true]);
    expect((await bench.broker.getSubscriber("orders", "billing")).clientCount).to.equal(3);
  });

  const openings: readonly (readonly [string, Partial<OpenSession>, Partial<OpenSession>, string | undefined])[] = [
    ["go on when nothing is said", { start: AFTER_2, events: ["a.*"] }, {}, undefined],
    ["may be given the same start at every run", { start: AFTER_2 }, { start: AFTER_2 }, undefined],
    ["may be given the default start that they began with", {}, { start: { kind: "earliest" } }, undefined],
    ["may be given the same filter in another order", { events: ["a.*", "b"] }, { events: ["b", "a.*", "b"] }, undefined],
    ["refuse another start", { start: { kind: "latest" } }, { start: { kind: "earliest" } }, "START_MISMATCH"],
    ["refuse another offset to start after", { start: AFTER_2 }, { start: { kind: "after_offset", offset: offset(1) } }, "START_MISMATCH"],
    ["refuse another filter", { events: ["a.*"] }, { events: ["a.*", "b"] }, "FILTER_MISMATCH"],
    ["refuse a filter when they take everything", {}, { events: ["a"] }, "FILTER_MISMATCH"],
  ];
  for (const [what, first, second, reason] of openings) {
    it(what, async () => {
      const bench = await Bench.start();
      await bench.publishMany(3);
      await bench.subscribe(first);
      for (const restart of [false, true]) {
        if (restart) await bench.crashAndRestart();
        if (reason === undefined) expect((await bench.subscribe(second)).heard.facts?.created).to.equal(false);
        else expect((await failure(bench.subscribe(second))).reason).to.equal(reason);
      }
    });
  }

  it("are listed by name with their numbers", async () => {
    const bench = await Bench.start();
    await bench.publishMany(5);
    await bench.subscribe({ subscriber: "b" });
    const limited = await bench.subscribe({ subscriber: "a", events: ["order.*"], flow: { maxMessages: 2, maxBytes: 0, paused: false } });
    await bench.subscribe({ subscriber: "c" });
    await limited.received(2);
    const infos = await bench.broker.listSubscribers("orders", undefined, 2);
    expect(infos.map(({ name }) => name)).to.deep.equal(["a", "b"]);
    expect(infos[0]).to.include({ queue: "orders", committedOffset: 0, backlogCount: 3, inFlightCount: 2, clientCount: 1, deadLetterCount: 0, blockedLaneCount: 0 });
    expect(infos[0]?.settings).to.include({ maxAttempts: 10, onPoison: "DEAD_LETTER" });
    expect(infos[0]?.events).to.deep.equal(["order.*"]);
    expect((await bench.broker.listSubscribers("orders", "b", 2)).map(({ name }) => name)).to.deep.equal(["c"]);
    expect((await failure(bench.broker.getSubscriber("orders", "x"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
  });

  it("whose names are alike keep their things apart", async () => {
    const bench = await Bench.start();
    const names = ["a", "a.b", "a-", "a.0000000000000001"];
    const sessions = await Promise.all(names.map((subscriber) => bench.subscribe({ subscriber })));
    await bench.publishMany(1);
    for (const session of sessions) {
      await session.received(1);
      await session.settle({ rejects: [{ range: run(1), reason: "" }] });
    }
    await bench.broker.deleteSubscriber("orders", "a");
    await bench.crashAndRestart();
    const infos = await bench.broker.listSubscribers("orders", undefined, 10);
    expect(infos.map(({ name, deadLetterCount }) => [name, deadLetterCount])).to.deep.equal([
      ["a-", 1],
      ["a.0000000000000001", 1],
      ["a.b", 1],
    ]);
  });

  it("that are deleted end their sessions and leave nothing behind", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(40);
    await session.received(40);
    await session.settle({ rejects: [{ range: run(1, 40), reason: "" }] });
    await bench.broker.deleteSubscriber("orders", "billing");
    expect((await session.ended())?.reason).to.equal("SUBSCRIBER_DELETED");
    const { queueId } = await bench.broker.getQueue("orders");
    expect(await bench.engine.state(queueId).list("", undefined, 10)).to.deep.equal([]);
    expect((await failure(bench.broker.deleteSubscriber("orders", "billing"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
    expect((await bench.subscribe()).heard.facts).to.include({ created: true, deadLetterCount: 0 });
  });
});

describe("Retention until acked", () => {
  it("keeps everything while there is no named subscriber", async () => {
    const bench = await Bench.start();
    const ephemeral = await bench.subscribe({ subscriber: "" });
    await bench.publishMany(3);
    await ephemeral.received(3);
    await ephemeral.ack(1, 3);
    await letTrim(bench);
    expect(await messageCount(bench)).to.equal(3);
  });

  it("drops what every named subscriber has settled durably", async () => {
    const bench = await Bench.start();
    const [a, b] = await Promise.all([bench.subscribe({ subscriber: "a" }), bench.subscribe({ subscriber: "b" })]);
    for (let i = 0; i < 4; i++) await bench.publishMany(1);
    await Promise.all([a.received(4), b.received(4)]);
    await a.ack(1, 4);
    await letTrim(bench);
    expect(await messageCount(bench)).to.equal(4);
    await b.ack(1, 2);
    await letTrim(bench);
    expect(await bench.broker.getQueue("orders")).to.include({ messageCount: 2, firstOffset: 3, headOffset: 4 });
    await bench.broker.deleteSubscriber("orders", "b");
    await letTrim(bench);
    expect(await messageCount(bench)).to.equal(0);
  });

  it("is not held up by an ephemeral subscriber, who is told of the gap", async () => {
    const bench = await Bench.start();
    const ephemeral = await bench.subscribe({ subscriber: "", flow: { maxMessages: 1, maxBytes: 0, paused: false } });
    const named = await bench.subscribe();
    for (let i = 0; i < 4; i++) await bench.publishMany(1);
    await named.received(4);
    await named.ack(1, 4);
    await letTrim(bench);
    expect(await messageCount(bench)).to.equal(0);
    await bench.broker.deleteSubscriber("orders", "billing");
    await ephemeral.received(1);
  });

  it("is not held up by a sleeper whose filter takes nothing of what is there", async () => {
    const bench = await Bench.start();
    const sleeper = await bench.subscribe({ subscriber: "sleeper", events: ["invoice.*"] });
    sleeper.session.lost();
    const named = await bench.subscribe();
    for (let i = 0; i < 300; i++) await bench.publishMany(1);
    await named.received(300);
    await named.ack(1, 300);
    await bench.advanceUntil("everything is trimmed", async () => (await messageCount(bench)) === 0, 500);
    expect((await bench.broker.getSubscriber("orders", "sleeper")).committedOffset).to.equal(300);
    await bench.crashAndRestart();
    const awake = await bench.subscribe({ subscriber: "sleeper" });
    expect(awake.heard.facts).to.include({ committedOffset: 300, backlogCount: 0 });
  });

  it("stops at the first message that a sleeper takes, and the sleeper gets it", async () => {
    const bench = await Bench.start();
    const sleeper = await bench.subscribe({ subscriber: "sleeper", events: ["invoice.*"] });
    sleeper.session.lost();
    const named = await bench.subscribe();
    for (const event of ["x", "x", "invoice.sent", "x"]) await bench.accepted([{ event }]);
    await named.received(4);
    await named.ack(1, 4);
    await letTrim(bench);
    expect(await bench.broker.getQueue("orders")).to.include({ firstOffset: 3, messageCount: 2 });
    const awake = await bench.subscribe({ subscriber: "sleeper" });
    expect(await awake.received(1)).to.deep.equal([3]);
    await awake.ack(3);
    await letTrim(bench);
    expect(await messageCount(bench)).to.equal(0);
  });

  it("holds what a subscriber that has not settled yet began with, across a restart", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const slow = await bench.subscribe({ subscriber: "slow" });
    slow.session.lost();
    const fast = await bench.subscribe({ subscriber: "fast" });
    await fast.received(2);
    await fast.ack(1, 2);
    await letTrim(bench);
    await bench.crashAndRestart();
    await bench.subscribe({ subscriber: "fast" });
    await letTrim(bench);
    expect(await (await bench.subscribe({ subscriber: "slow" })).received(2)).to.deep.equal([1, 2]);
  });

  it("does not trim what a new subscriber begins with while it is being made", async () => {
    const bench = await Bench.start();
    const named = await bench.subscribe();
    await bench.publishMany(3);
    await named.received(3);
    const release = bench.faults.holdCommits();
    const making = bench.subscribe({ subscriber: "new" });
    await settled();
    const id = named.send({ acks: [run(1, 3)] });
    release();
    await making.then(async (fresh) => {
      while (named.resultOf(id) === undefined) await settled(2);
      await letTrim(bench);
      expect(fresh.heard.facts).to.include({ committedOffset: 0 });
      expect(await fresh.received(3)).to.deep.equal([1, 2, 3]);
      expect(fresh.heard.gaps).to.deep.equal([]);
    });
  });

  it("lets a new subscriber begin with the oldest message that is left", async () => {
    const bench = await Bench.start();
    const named = await bench.subscribe();
    for (let i = 0; i < 4; i++) await bench.publishMany(1);
    await named.received(4);
    await named.ack(1, 3);
    await letTrim(bench);
    const fresh = await bench.subscribe({ subscriber: "new" });
    expect(fresh.heard.facts).to.include({ committedOffset: 3, backlogCount: 1 });
    expect(await fresh.received(1)).to.deep.equal([4]);
    expect(fresh.heard.gaps).to.deep.equal([]);
  });

  it("leads a thousand sleepers over a log that none of them takes anything of", async () => {
    const bench = await Bench.start();
    for (let i = 0; i < 1_000; i++) (await bench.subscribe({ subscriber: `sleeper-${i}`, events: [`event-${i % 50}.*`] })).lost();
    for (let i = 0; i < 600; i++) await bench.publishMany(1);
    await bench.advanceUntil("everything is trimmed", async () => (await messageCount(bench)) === 0, 500);
    await bench.accepted([{ event: "event-7.happened" }]);
    await letTrim(bench);
    expect(await messageCount(bench)).to.equal(1);
    const infos = await bench.broker.listSubscribers("orders", undefined, 1_000);
    expect(infos.filter(({ committedOffset }) => committedOffset === 600)).to.have.length(20);
    expect(infos.filter(({ committedOffset }) => committedOffset === 601)).to.have.length(980);
  });
});
