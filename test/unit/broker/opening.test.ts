import { expect } from "chai";
import type { Claims, OffsetRun, OpenSession } from "../../../src/core/session.js";
import { offset } from "../../../src/core/units.js";
import { until } from "../../support/condition.js";
import { Bench, failure, settled } from "./broker-harness.js";

const DEADLINE_MS = 5_000;
const EXCLUSIVE = { sharing: "EXCLUSIVE" } as const;
const PAUSED = { flow: { maxMessages: 0, maxBytes: 0, paused: true } };

const run = (first: number, last = first): OffsetRun => ({ first: offset(first), last: offset(last) });
const claims = (part: { through?: number; done?: readonly OffsetRun[] }): { claims: Claims } => ({
  claims: { processedThrough: part.through === undefined ? undefined : offset(part.through), done: part.done ?? [] },
});

describe("sessions of an exclusive subscriber", () => {
  it("stand by while one works, say so when asked, and take over when it breaks", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const a = await bench.subscribe({ ...EXCLUSIVE, clientId: "a" });
    const b = await bench.subscribe({ ...EXCLUSIVE, clientId: "b" });
    expect([a.heard.facts?.standby, b.heard.facts?.standby]).to.deep.equal([false, true]);
    await a.received(2);
    b.session.ping();
    expect(b.heard.heartbeats.map(({ waitingFor }) => waitingFor)).to.deep.equal(["STANDBY"]);
    const listed = bench.broker.listClients(undefined, undefined, 10);
    expect(listed.map(({ clientId, sharing, standby }) => [clientId, sharing, standby])).to.deep.equal([["a", "EXCLUSIVE", false], ["b", "EXCLUSIVE", true]]);
    a.lost();
    await b.received(2);
    expect(b.heard.batches[0]?.facts).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
    expect(b.heard.notices.map(({ reason }) => reason)).to.include("TAKEN_OVER");
    expect(bench.broker.listClients(undefined, undefined, 10).map(({ standby }) => standby)).to.deep.equal([false]);
  });

  it("are seen by whoever watches: a takeover changes one, a replacement says so", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe({ ...EXCLUSIVE, clientId: "a" });
    await bench.subscribe({ ...EXCLUSIVE, clientId: "b" });
    const watch = bench.broker.watchClients({ queue: undefined, subscriber: undefined }, () => undefined);
    const news = (): unknown[] => {
      const told: unknown[] = [];
      for (let next = watch.take(); next !== undefined; next = watch.take()) {
        if (next.type === "left") told.push([next.type, next.client.clientId, next.reason]);
        else if (next.type === "joined" || next.type === "changed") told.push([next.type, next.client.clientId, next.client.standby]);
      }
      return told;
    };
    expect(news()).to.deep.equal([["joined", "a", false], ["joined", "b", true]]);
    await bench.subscribe({ ...EXCLUSIVE, clientId: "c", replacesSessionId: a.session.id });
    expect(news()).to.have.deep.members([["left", "a", "REPLACED"], ["changed", "b", false], ["joined", "c", true]]);
    watch.stop();
  });

  const ENDS: readonly (readonly [string, (bench: Bench, id: string) => void])[] = [
    ["an operator disconnects", (bench, id) => bench.broker.disconnectClient(id, "")],
    ["is silent for longer than it promised", (bench) => { bench.clock.advance(5_000); }],
  ];
  for (const [what, endIt] of ENDS) {
    it(`take over from one that ${what}`, async () => {
      const bench = await Bench.start();
      const a = await bench.subscribe({ ...EXCLUSIVE, clientTimeoutMs: 5_000 });
      const b = await bench.subscribe(EXCLUSIVE);
      endIt(bench, a.session.id);
      await bench.publishMany(1);
      await b.received(1);
    });
  }

  it("take over from one that half-closed, which gives back what it held", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const a = await bench.subscribe(EXCLUSIVE);
    const b = await bench.subscribe(EXCLUSIVE);
    await a.received(2);
    a.session.halfClosed();
    expect(await a.ended()).to.equal(undefined);
    await b.received(2);
    expect(b.heard.batches[0]?.facts).to.include({ deliveryCount: 1, cause: "RELEASED" });
  });

  it("take over from one that drained, but not before it holds nothing", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const a = await bench.subscribe(EXCLUSIVE);
    const b = await bench.subscribe(EXCLUSIVE);
    await a.received(2);
    a.session.drain();
    await bench.publishMany(1);
    await settled();
    expect(b.offsets).to.deep.equal([]);
    await a.ack(1, 2);
    expect(await a.ended()).to.equal(undefined);
    expect(await b.received(1)).to.deep.equal([3]);
  });

  it("that stand by end with OK when they half-close or drain", async () => {
    const bench = await Bench.start();
    await bench.subscribe(EXCLUSIVE);
    const drained = await bench.subscribe(EXCLUSIVE);
    drained.session.drain();
    expect(await drained.ended()).to.equal(undefined);
    const closed = await bench.subscribe(EXCLUSIVE);
    closed.session.halfClosed();
    expect(await closed.ended()).to.equal(undefined);
  });

  it("all say the same, until the last of them has gone", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe(EXCLUSIVE);
    const error = await failure(bench.subscribe());
    expect(error).to.include({ reason: "SHARING_MISMATCH", status: "FAILED_PRECONDITION" });
    expect(error.metadata).to.deep.equal({ field: "open.sharing", value: "SHARING_SHARED", open: "SHARING_EXCLUSIVE" });
    a.lost();
    const b = await bench.subscribe();
    expect((await failure(bench.subscribe(EXCLUSIVE))).reason).to.equal("SHARING_MISMATCH");
    b.lost();
    await bench.subscribe(EXCLUSIVE);
  });

  it("that are ephemeral are each alone", async () => {
    const bench = await Bench.start();
    const open = { ...EXCLUSIVE, subscriber: "" };
    const sessions = [await bench.subscribe(open), await bench.subscribe(open), await bench.subscribe({ subscriber: "" })];
    await bench.publishMany(1);
    for (const session of sessions) await session.received(1);
  });

  it("keep their places while sessions open and end at the same time", async () => {
    const bench = await Bench.start();
    const sessions = await Promise.all(Array.from({ length: 20 }, () => bench.subscribe(EXCLUSIVE)));
    expect(sessions.filter(({ heard }) => heard.facts?.standby === false)).to.have.length(1);
    await bench.publishMany(20);
    for (const [i, session] of sessions.entries()) {
      await session.ack((await session.received(1))[0] ?? 0);
      session.lost();
      await settled(2);
      if (i < 19) expect(sessions.filter((each) => !each.isOver && each.offsets.length > 0)).to.have.length(1);
    }
  });
});

describe("a client that keeps its own position", () => {
  async function bench(messages: number): Promise<{ bench: Bench; open: Partial<OpenSession> }> {
    const made = await Bench.start();
    await made.publishMany(messages);
    return { bench: made, open: { ...EXCLUSIVE, queueId: (await made.broker.getQueue("orders")).queueId } };
  }

  it("goes on behind it, with a subscriber made by the same open", async () => {
    const { bench: made, open } = await bench(5);
    const session = await made.subscribe({ ...open, ...claims({ through: 3 }) });
    expect(session.heard.facts).to.include({ created: true, committedOffset: 3, backlogCount: 2 });
    expect(await session.received(2)).to.deep.equal([4, 5]);
  });

  it("is told the exact backlog behind it, with a filter", async () => {
    const { bench: made, open } = await bench(0);
    await made.accepted(["a", "b", "a", "b", "a"].map((event) => ({ event })));
    const session = await made.subscribe({ ...open, ...PAUSED, events: ["a"], ...claims({ through: 2 }) });
    expect(session.heard.facts).to.include({ committedOffset: 2, backlogCount: 2 });
  });

  it("has it on disk before it hears opened", async () => {
    const { bench: made, open } = await bench(5);
    await made.subscribe({ ...open, ...PAUSED, ...claims({ through: 3 }) });
    await made.crashAndRestart();
    const session = await made.subscribe(open);
    expect(session.heard.facts).to.include({ created: false, committedOffset: 3 });
  });

  it("is refused beyond the head, and no subscriber is made", async () => {
    const { bench: made, open } = await bench(2);
    const error = await failure(made.subscribe({ ...open, ...claims({ through: 3 }) }));
    expect(error).to.include({ reason: "BEYOND_HEAD", status: "OUT_OF_RANGE" });
    expect(error.metadata).to.deep.equal({ field: "open.processed_through", value: "3", limit: "0 to 2" });
    expect((await failure(made.broker.getSubscriber("orders", "billing"))).reason).to.equal("SUBSCRIBER_NOT_FOUND");
  });

  it("is refused when it has forgotten what was settled", async () => {
    const { bench: made, open } = await bench(5);
    const first = await made.subscribe(open);
    await first.received(5);
    await first.ack(1, 4);
    first.lost();
    const error = await failure(made.subscribe({ ...open, ...claims({ through: 2 }) }));
    expect(error).to.include({ reason: "CLIENT_BEHIND", status: "FAILED_PRECONDITION" });
    expect(error.metadata).to.deep.equal({ field: "open.processed_through", value: "2", settled_through: "4", committed_offset: "4" });
    expect(error.message).to.match(/2.*4.*seek/);
    const next = await made.subscribe({ ...open, ...claims({ through: 4 }) });
    expect(await next.received(1)).to.deep.equal([5]);
  });

  it("is not behind because of what its filter passed", async () => {
    const { bench: made, open } = await bench(0);
    await made.accepted(["a", "b", "b"].map((event) => ({ event })));
    const first = await made.subscribe({ ...open, events: ["a"] });
    await first.ack((await first.received(1))[0] ?? 0);
    expect((await made.broker.getSubscriber("orders", "billing")).committedOffset).to.equal(3);
    first.lost();
    const next = await made.subscribe({ ...open, ...claims({ through: 1 }) });
    expect(next.heard.facts).to.include({ committedOffset: 3 });
  });

  it("that stands by settles nothing of what the other one holds, and is not behind", async () => {
    const { bench: made, open } = await bench(5);
    const first = await made.subscribe(open);
    await first.received(5);
    await first.ack(1, 2);
    for (const through of [0, 5]) {
      const standby = await made.subscribe({ ...open, ...claims({ through }) });
      expect(standby.heard.facts).to.include({ standby: true, committedOffset: 2 });
    }
    expect((await first.ack(3, 5)).failures).to.deep.equal([]);
  });

  it("hears why when its subscriber is deleted while it is being opened", async () => {
    const { bench: made, open } = await bench(5);
    (await made.subscribe(open)).lost();
    await settled();
    made.breakDisk();
    const opening = failure(made.subscribe({ ...open, ...claims({ through: 3 }) }));
    await settled();
    // The disk does not answer it either, but its sessions end at once.
    void made.broker.deleteSubscriber("orders", "billing");
    expect((await opening).reason).to.equal("SUBSCRIBER_DELETED");
    expect(made.broker.listClients(undefined, undefined, 10)).to.deep.equal([]);
  });
});

describe("a client that comes back", () => {
  it("has what it had finished settled, and what it held back at once", async () => {
    const bench = await Bench.start();
    await bench.publishMany(5);
    const first = await bench.subscribe({ clientId: "first" });
    await first.received(5);
    const second = await bench.subscribe({ replacesSessionId: first.session.id, ...claims({ done: [run(1, 2), run(4)] }) });
    expect(await first.ended()).to.include({ reason: "REPLACED", status: "ABORTED" });
    expect(second.heard.facts).to.include({ committedOffset: 2, backlogCount: 2 });
    expect(await second.received(2)).to.deep.equal([3, 5]);
    expect(second.heard.batches[0]?.facts).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
    await second.ack(3);
    await bench.crashAndRestart();
    const third = await bench.subscribe();
    expect(await third.received(1)).to.deep.equal([5]);
  });

  it("replaces no session of another subscriber or queue", async () => {
    const bench = await Bench.start();
    const other = await bench.subscribe({ subscriber: "other" });
    const elsewhere = await bench.subscribe({ queue: "invoices" });
    for (const { session } of [other, elsewhere]) {
      const error = await failure(bench.subscribe({ replacesSessionId: session.id }));
      expect(error).to.include({ reason: "INVALID_FIELD" });
      expect(error.metadata).to.include({ field: "open.replaces_session_id" });
    }
    expect((await failure(bench.broker.getSubscriber("orders", "billing"))).reason, "no subscriber is made").to.equal("SUBSCRIBER_NOT_FOUND");
    expect([other.isOver, elsewhere.isOver]).to.deep.equal([false, false]);
  });

  it("replaces what is gone already without a word", async () => {
    const bench = await Bench.start();
    const first = await bench.subscribe();
    first.lost();
    for (const id of [first.session.id, "f".repeat(32)]) await bench.subscribe({ replacesSessionId: id });
  });

  it("may share in another way than the session that it replaces", async () => {
    const bench = await Bench.start();
    const first = await bench.subscribe();
    const second = await bench.subscribe({ ...EXCLUSIVE, replacesSessionId: first.session.id });
    expect(second.heard.facts?.standby).to.equal(false);
  });

  it("stands behind those that stand by, when it replaces the one that worked", async () => {
    const bench = await Bench.start();
    const worker = await bench.subscribe(EXCLUSIVE);
    const standby = await bench.subscribe(EXCLUSIVE);
    const back = await bench.subscribe({ ...EXCLUSIVE, replacesSessionId: worker.session.id });
    expect(back.heard.facts?.standby).to.equal(true);
    await bench.publishMany(1);
    await standby.received(1);
  });

  it("replaces an ephemeral session of its own", async () => {
    const bench = await Bench.start();
    const first = await bench.subscribe({ subscriber: "" });
    await bench.subscribe({ subscriber: "", replacesSessionId: first.session.id });
    expect((await first.ended())?.reason).to.equal("REPLACED");
  });

  it("claims nothing beyond the head", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const error = await failure(bench.subscribe(claims({ done: [run(1), run(2, 3)] })));
    expect(error.reason).to.equal("BEYOND_HEAD");
    expect(error.metadata).to.include({ field: "open.done[1].last", limit: "0 to 2" });
  });

  it("does not hold its place when its stream breaks while it is being opened", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const queueId = (await bench.broker.getQueue("orders")).queueId;
    const opened = await bench.subscribe({ ...EXCLUSIVE, queueId, ...claims({ through: 1 }) });
    opened.lost();
    const next = await bench.subscribe(EXCLUSIVE);
    expect(next.heard.facts?.standby).to.equal(false);
    await until("one client", DEADLINE_MS, () => bench.broker.listClients(undefined, undefined, 10).length === 1);
  });
});
