import { expect } from "chai";
import { Bench, run, settled, type TestSession } from "./broker-harness.js";

const AUTO = { ackMode: "AUTO" } as const;
const flow = (paused: boolean) => ({ maxMessages: 0, maxBytes: 0, paused });

/** The transport takes every batch that was sent. */
function takeAll({ session, heard }: TestSession): void {
  for (const { facts } of heard.batches) session.taken(facts.batchId);
}

describe("how a stream goes on and ends under AUTO", () => {
  it("waits while it is paused, though only paused applies of its window", async () => {
    const bench = await Bench.start();
    await bench.publishMany(5);
    const session = await bench.subscribe({ ...AUTO, flow: flow(true) });
    await settled();
    expect(session.offsets).to.deep.equal([]);
    session.session.flow({ maxMessages: 1, maxBytes: 1, paused: false });
    expect(await session.received(5)).to.deep.equal([1, 2, 3, 4, 5]);
    session.session.flow(flow(true));
    await bench.publishMany(1);
    await settled();
    session.session.ping();
    expect(session.heard.heartbeats.at(-1)?.waitingFor).to.equal("PAUSED");
    expect(session.offsets).to.have.length(5);
  });

  it("goes on after a half-close until its stop", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const session = await bench.subscribe({ ...AUTO, stop: { kind: "after_messages", count: 3 } });
    session.session.halfClosed();
    takeAll(session);
    await settled();
    expect(session.heard.ended).to.equal(false);
    await bench.publishMany(2);
    expect(await session.received(3)).to.deep.equal([1, 2, 3]);
    takeAll(session);
    expect(await session.ended()).to.equal(undefined);
  });

  it("goes on after a half-close until it is cancelled, and what the transport had is settled", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe(AUTO);
    session.session.halfClosed();
    await bench.publishMany(2);
    await session.received(2);
    session.lost();
    await settled();
    expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(0);
  });

  it("goes on after a half-close while it stands by, and takes over", async () => {
    const bench = await Bench.start();
    const worker = await bench.subscribe({ sharing: "EXCLUSIVE" });
    const standby = await bench.subscribe({ ...AUTO, sharing: "EXCLUSIVE" });
    standby.session.halfClosed();
    worker.lost();
    await bench.publishMany(1);
    await standby.received(1);
  });

  it("ends with OK after a drain when the transport took what was sent", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const session = await bench.subscribe(AUTO);
    await session.received(2);
    session.session.drain();
    await bench.publishMany(1);
    await settled();
    expect(session.heard.ended).to.equal(false);
    takeAll(session);
    expect(await session.ended()).to.equal(undefined);
    expect(session.offsets).to.deep.equal([1, 2]);
  });

  it("stops at the head of an empty queue at once, also of one where all was read", async () => {
    const bench = await Bench.start();
    expect(await (await bench.subscribe({ ...AUTO, stop: { kind: "at_head" } })).ended()).to.equal(undefined);
    await bench.publishMany(1);
    const reader = await bench.subscribe({ ...AUTO, stop: { kind: "at_head" } });
    await reader.received(1);
    takeAll(reader);
    expect(await reader.ended()).to.equal(undefined);
    expect(await (await bench.subscribe({ ...AUTO, stop: { kind: "at_head" } })).ended()).to.equal(undefined);
  });

  it("takes no verdict but an ack, and no longer lease, whether or not the transport took the message yet", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const session = await bench.subscribe(AUTO);
    await session.received(1);
    const wishes = [
      { retries: [{ range: run(1), delayMs: 0, reason: "" }] },
      { rejects: [{ range: run(1), reason: "" }] },
      { releases: [run(1)] },
      { extends: [{ range: run(1), leaseMs: 1_000 }] },
    ];
    for (const wish of wishes) expect((await session.settle(wish)).failures.map(({ code }) => code)).to.deep.equal(["ALREADY_SETTLED"]);
    expect((await session.settle({ extendAllMs: 100 })).failures).to.deep.equal([]);
    bench.clock.advance(60_000);
    await settled();
    expect((await session.ack(1)).failures).to.deep.equal([]);
    takeAll(session);
    expect((await session.settle({ releases: [run(1)] })).failures.map(({ code }) => code)).to.deep.equal(["ALREADY_SETTLED"]);
    expect(session.offsets).to.deep.equal([1]);
  });
});

describe("how a stream ends under EXPLICIT", () => {
  it("with OK at once after a drain with nothing held", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    session.session.drain();
    expect(await session.ended()).to.equal(undefined);
    expect(session.heard.notices.map(({ reason }) => reason)).to.not.include("HALF_CLOSED_EXPLICIT");
  });

  it("after a half-close that asked for no answer to what it had settled: that is on disk", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const session = await bench.subscribe();
    await session.received(3);
    session.session.settle(0n, { acks: [run(1, 2)], ackThroughBatchId: 0, retries: [], rejects: [], releases: [], extends: [], extendAllMs: undefined });
    session.session.halfClosed();
    expect(await session.ended()).to.equal(undefined);
    expect(session.heard.results, "nobody asked").to.deep.equal([]);
    expect(session.heard.notices.map(({ reason }) => reason)).to.not.include("HALF_CLOSED_EXPLICIT");
    await bench.crashAndRestart();
    expect((await bench.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(2);
  });

  it("after a half-close while a reject is on its way to the dead letters: behind its answer", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const session = await bench.subscribe();
    await session.received(1);
    const id = session.send({ rejects: [{ range: run(1), reason: "no" }] });
    session.session.halfClosed();
    expect(await session.ended()).to.equal(undefined);
    expect(session.resultOf(id)?.failures).to.deep.equal([]);
    expect((await bench.broker.getSubscriber("orders", "billing")).deadLetterCount).to.equal(1);
  });

  it("after a half-close while an ack waits behind its lane: the ack is lost, and both come again", async () => {
    const bench = await Bench.start();
    await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: {} });
    await bench.publishMany(2);
    const session = await bench.subscribe({ maxInFlightPerLane: 2 });
    await session.received(2);
    const id = session.send({ acks: [run(2)] });
    await settled();
    expect(session.resultOf(id), "it waits").to.equal(undefined);
    session.session.halfClosed();
    expect(await session.ended()).to.equal(undefined);
    expect(session.resultOf(id)?.failures.map(({ code, range }) => [code, range.first])).to.deep.equal([["LEASE_LOST", 2]]);
    const next = await bench.subscribe({ maxInFlightPerLane: 2 });
    expect(await next.received(2)).to.deep.equal([1, 2]);
    expect(next.heard.batches[0]?.facts).to.include({ attempt: 1, deliveryCount: 1, cause: "RELEASED" });
  });

  it("after a drain and a half-close: what is held goes back", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const session = await bench.subscribe();
    await session.received(2);
    session.session.drain();
    await session.ack(1);
    session.session.halfClosed();
    expect(await session.ended()).to.equal(undefined);
    const next = await bench.subscribe();
    expect(await next.received(1)).to.deep.equal([2]);
    expect(next.heard.batches[0]?.facts).to.include({ deliveryCount: 1, cause: "RELEASED" });
  });

  it("counted when its client finished sending and was lost before that was certain; until then it keeps what it holds", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const session = await bench.subscribe();
    await session.received(2);
    session.session.finishing();
    await bench.publishMany(1);
    await settled();
    expect(session.offsets, "nothing more comes").to.deep.equal([1, 2]);
    expect(session.heard.ended).to.equal(false);
    session.session.lost();
    const next = await bench.subscribe();
    expect(await next.received(3), "a new count waits for the disk").to.deep.equal([3, 1, 2]);
    expect(next.heard.batches.map(({ facts }) => facts.deliveryCount)).to.deep.equal([1, 2]);
  });

  it("with OK as soon as its client seems to have finished and nothing is held", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const session = await bench.subscribe();
    await session.received(1);
    await session.ack(1);
    session.session.finishing();
    expect(await session.ended()).to.equal(undefined);
  });

  it("as it was decided, whatever frames come after the half-close", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const session = await bench.subscribe();
    await session.received(2);
    await session.ack(1);
    session.session.halfClosed();
    session.send({ acks: [run(2)] });
    session.session.flow(flow(false));
    session.session.drain();
    session.session.halfClosed();
    expect(await session.ended()).to.equal(undefined);
    const next = await bench.subscribe();
    expect(await next.received(1)).to.deep.equal([2]);
  });

  it("with OK after a half-close of a paused client that holds nothing", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const session = await bench.subscribe({ flow: flow(true) });
    session.session.halfClosed();
    expect(await session.ended()).to.equal(undefined);
    expect((await bench.broker.getSubscriber("orders", "billing")).backlogCount).to.equal(1);
  });
});
