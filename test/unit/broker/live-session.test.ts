import { expect } from "chai";
import { DEFAULTS, LIMITS } from "../../../src/core/limits.js";
import { until } from "../../support/condition.js";
import { Bench, failure, run, settled, settlementOf } from "./broker-harness.js";

describe("A session", () => {
  it("hears opened first, with the values that are in effect", async () => {
    const bench = await Bench.start();
    await bench.publishMany(5);
    const { heard, session } = await bench.subscribe({
      events: ["order.*", "order.created", "order.*"],
      flow: { maxMessages: 1_000_000, maxBytes: 0, paused: false },
      ackTimeoutMs: 2_000,
      heartbeatMs: 3_000,
    });
    await until("a delivery", 2_000, () => heard.batches.length > 0);
    expect(heard.frames[0]).to.equal("opened");
    const { queueId } = await bench.broker.getQueue("orders");
    expect(heard.facts).to.deep.equal({
      sessionId: session.id,
      queueId,
      committedOffset: 0,
      headOffset: 5,
      backlogCount: 5,
      deadLetterCount: 0,
      ordered: false,
      ackTimeoutMs: 2_000,
      heartbeatMs: 3_000,
      flow: { maxMessages: LIMITS.flowMessagesMax, maxBytes: DEFAULTS.flowBytes, paused: false },
      events: ["order.*", "order.created"],
      maxAttempts: DEFAULTS.maxAttempts,
      created: true,
      standby: false,
      maxUnsettled: DEFAULTS.maxUnsettled,
    });
  });

  it("gets a heartbeat when nothing was sent for its interval, saying why nothing comes", async () => {
    const bench = await Bench.start();
    const { heard } = await bench.subscribe({ heartbeatMs: 2_000 });
    bench.clock.advance(1_999);
    expect(heard.heartbeats).to.have.length(0);
    bench.clock.advance(1);
    expect(heard.heartbeats).to.deep.equal([{ headOffset: 0, committedOffset: 0, inFlightCount: 0, backlogCount: 0, deadLetterCount: 0, waitingFor: "NOTHING_NEW" }]);
    bench.clock.advance(4_000);
    expect(heard.heartbeats).to.have.length(3);
  });

  it("gets no heartbeat while other frames come", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ heartbeatMs: 2_000 });
    for (let i = 1; i <= 5; i++) {
      bench.clock.advance(1_500);
      await bench.publishMany(1);
      await session.received(i);
    }
    expect(session.heard.heartbeats).to.have.length(0);
  });

  it("gets a heartbeat at once for a ping", async () => {
    const bench = await Bench.start();
    const { heard, session } = await bench.subscribe({ flow: { maxMessages: 0, maxBytes: 0, paused: true } });
    session.ping();
    expect(heard.heartbeats.map(({ waitingFor }) => waitingFor)).to.deep.equal(["PAUSED"]);
  });

  it("gets no heartbeats while it does not read, so that they do not pile up", async () => {
    const bench = await Bench.start();
    const { heard, session } = await bench.subscribe({ heartbeatMs: 1_000 });
    session.transportChanged(false);
    bench.clock.advance(100_000);
    expect(heard.heartbeats).to.have.length(0);
    session.transportChanged(true);
    bench.clock.advance(1_000);
    expect(heard.heartbeats).to.have.length(1);
  });

  it("ends when its client is silent for longer than it promised, and what it held comes again", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ clientTimeoutMs: 5_000 });
    await bench.publishMany(1);
    await session.received(1);
    bench.clock.advance(4_000);
    session.session.heard();
    bench.clock.advance(4_999);
    expect(session.heard.ended).to.equal(false);
    bench.clock.advance(1);
    expect((await session.ended())?.reason).to.equal("CLIENT_TIMEOUT");
    const next = await bench.subscribe();
    await next.received(1);
    expect(next.heard.batches[0]?.facts).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
  });

  it("ignores everything after its end", async () => {
    const bench = await Bench.start();
    const { session, heard } = await bench.subscribe();
    const before = [...heard.frames];
    session.lost();
    session.settle(1n, settlementOf({ acks: [run(1)] }));
    session.flow({ maxMessages: 1, maxBytes: 1, paused: false });
    session.drain();
    session.ping();
    session.halfClosed();
    session.transportChanged(false);
    session.taken(1);
    session.lost();
    bench.clock.advance(60_000);
    await settled();
    expect(heard.frames).to.deep.equal(before);
    expect(bench.clock.pendingCount).to.be.lessThan(2);
  });

  describe("whose client has finished sending", () => {
    it("under EXPLICIT: answers what was sent, gives back the rest uncounted, and ends with OK", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(4);
      await session.received(4);
      const id = session.send({ acks: [run(1)], rejects: [{ range: run(2), reason: "bad" }] });
      session.session.halfClosed();
      expect(await session.ended()).to.equal(undefined);
      expect(session.resultOf(id)?.failures).to.deep.equal([]);
      expect(session.heard.results.flatMap(({ requestIds, failures }) => [requestIds, failures])).to.deep.equal([[id], []]);
      expect(session.heard.notices.map(({ reason }) => reason)).to.not.include("HALF_CLOSED_EXPLICIT");
      const next = await bench.subscribe();
      expect(await next.received(2)).to.deep.equal([3, 4]);
      expect(next.heard.batches[0]?.facts).to.include({ deliveryCount: 1, cause: "RELEASED" });
    });

    it("under EXPLICIT with nothing ever settled: says that AUTO exists", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      await bench.publishMany(2);
      await session.received(2);
      session.session.halfClosed();
      expect(await session.ended()).to.equal(undefined);
      expect(session.heard.notices.at(-1)?.reason).to.equal("HALF_CLOSED_EXPLICIT");
      expect(session.heard.frames.slice(-2)).to.deep.equal(["notice", "end"]);
    });

    it("under EXPLICIT on an empty queue: ends at once", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe();
      session.session.halfClosed();
      expect(await session.ended()).to.equal(undefined);
    });

    it("under AUTO: goes on", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe({ ackMode: "AUTO" });
      session.session.halfClosed();
      await bench.publishMany(2);
      expect(await session.received(2)).to.deep.equal([1, 2]);
      expect(session.heard.ended).to.equal(false);
    });
  });

  it("that drains gets nothing more and ends with OK when nothing is held", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe();
    await bench.publishMany(2);
    await session.received(2);
    session.session.drain();
    await bench.publishMany(2);
    await settled();
    expect(session.heard.ended).to.equal(false);
    await session.ack(1, 2);
    expect(await session.ended()).to.equal(undefined);
    expect(session.offsets).to.deep.equal([1, 2]);
    expect(session.heard.frames.at(-2)).to.equal("result");
  });

  it("that stops at the head ends when everything up to it is settled", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const session = await bench.subscribe({ stop: { kind: "at_head" } });
    await session.received(3);
    await session.ack(1, 3);
    expect(await session.ended()).to.equal(undefined);
  });

  it("that never reads holds a bounded number of messages, however many come", async () => {
    const bench = await Bench.start();
    const session = await bench.subscribe({ flow: { maxMessages: 50, maxBytes: 0, paused: false } });
    session.session.transportChanged(false);
    for (let i = 0; i < 8; i++) await bench.publishMany(1_000);
    expect(session.heard.batches).to.have.length(0);
    const other = await bench.subscribe({ subscriber: "other", flow: { maxMessages: 100_000, maxBytes: 0, paused: false } });
    await other.received(8_000);
    expect(session.heard.batches).to.have.length(0);
  });

  it("is listed with what it asked for until it ends", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe({ events: ["order.*"], clientId: "alice", labels: new Map([["zone", "b"]]) });
    await bench.subscribe({ queue: "invoices", subscriber: "" });
    await bench.publishMany(3);
    await a.received(3);
    const [first, ...others] = bench.broker.listClients("orders", undefined, 10);
    expect(others).to.deep.equal([]);
    expect(first).to.deep.include({ sessionId: a.session.id, clientId: "alice", queue: "orders", subscriber: "billing", events: ["order.*"], ackMode: "EXPLICIT", inFlightCount: 3 });
    expect(first?.labels.get("zone")).to.equal("b");
    const [oldest] = bench.broker.listClients(undefined, undefined, 1);
    expect(bench.broker.listClients(undefined, oldest?.sessionId, 10)).to.have.length(1);
    a.session.lost();
    expect(bench.broker.listClients("orders", undefined, 10)).to.deep.equal([]);
  });

  it("belongs to a thousand on one subscriber, and everybody gets a share", async () => {
    const bench = await Bench.start();
    const flow = { maxMessages: 1, maxBytes: 0, paused: false };
    const sessions = await Promise.all(Array.from({ length: 1_000 }, () => bench.subscribe({ flow })));
    await bench.publishMany(1_000);
    await until("everybody has one", 10_000, () => sessions.every(({ offsets }) => offsets.length === 1));
    for (const { session } of sessions) session.lost();
    expect(bench.broker.listClients(undefined, undefined, 10)).to.deep.equal([]);
  });

  it("is refused for a start beyond the head", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const error = await failure(bench.subscribe({ start: { kind: "after_offset", offset: 3 as never } }));
    expect(error.reason).to.equal("BEYOND_HEAD");
    expect(error.metadata).to.include({ limit: "0 to 2" });
  });
});
