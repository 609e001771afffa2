import { expect } from "chai";
import type { ClientFilter, ClientNews, ClientWatch } from "../../../src/broker/client-api.js";
import { WatchedClients } from "../../../src/broker/client-watch.js";
import type { LiveSession } from "../../../src/broker/live-session.js";
import { plainEnd } from "../../../src/broker/session-end.js";
import { BrokerError } from "../../../src/core/errors.js";
import { wallMs } from "../../../src/core/units.js";
import { EventLoopTurns } from "../../../src/system/turns.js";
import { until } from "../../support/condition.js";
import { Bench, settled, type TestSession } from "./broker-harness.js";

const DEADLINE_MS = 5_000;
const EVERYBODY: ClientFilter = { queue: undefined, subscriber: undefined };

/** Takes what there is as soon as it is woken, unless it is held up. */
class Watcher {
  readonly news: ClientNews[] = [];
  heldUp = false;
  wakes = 0;
  private readonly watch: ClientWatch;

  constructor(bench: Bench, filter: Partial<ClientFilter> = {}) {
    this.watch = bench.broker.watchClients({ ...EVERYBODY, ...filter }, () => {
      this.wakes++;
      if (!this.heldUp) this.takeAll();
    });
    this.takeAll();
  }

  takeAll(): void {
    for (let next = this.watch.take(); next !== undefined; next = this.watch.take()) this.news.push(next);
  }

  stop(): void {
    this.watch.stop();
  }

  /** What was told, in short: what happened to which client. */
  get told(): readonly string[] {
    return this.news.map((news) => ("client" in news ? `${news.type} ${news.client.clientId}` : news.type));
  }

  async left(clientId: string): Promise<Extract<ClientNews, { type: "left" }>> {
    return until(`${clientId} has left`, DEADLINE_MS, () =>
      this.news.find((news): news is Extract<ClientNews, { type: "left" }> => news.type === "left" && news.client.clientId === clientId),
    );
  }
}

describe("a watch of clients", () => {
  it("begins with everybody who is there, then tells of those who come", async () => {
    const bench = await Bench.start();
    await bench.subscribe({ clientId: "a" });
    await bench.subscribe({ clientId: "b", queue: "mail" });
    const watcher = new Watcher(bench);
    expect(watcher.told).to.deep.equal(["joined a", "joined b", "listed"]);
    expect(watcher.news.at(-1)).to.deep.equal({ type: "listed", count: 2 });
    await bench.subscribe({ clientId: "c" });
    await until("c is told", DEADLINE_MS, () => watcher.told.includes("joined c"));
  });

  it("is woken at its start, and complete at once where nobody is", async () => {
    const watcher = new Watcher(await Bench.start());
    expect(watcher.news).to.deep.equal([{ type: "listed", count: 0 }]);
    await settled();
    expect(watcher.wakes).to.equal(1);
  });

  it("shows what a session holds, waits for and last did", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe({ clientId: "a", flow: { maxMessages: 2, maxBytes: 0, paused: false } });
    await bench.publishMany(5);
    await a.received(2);
    const heardMs = bench.clock.wall();
    bench.clock.advance(3_000);
    const [first] = new Watcher(bench).news;
    if (first?.type !== "joined") throw new Error("nobody has joined");
    expect(first.client).to.include({ inFlightCount: 2, backlogCount: 3, waitingFor: "FLOW", draining: false, lastFrameTimeMs: heardMs, userAgent: "test/1" });
    expect(first.client.inFlightBytes).to.be.greaterThan(20);
  });

  it("is of one queue, or of one subscriber of it, when that is asked for", async () => {
    const bench = await Bench.start();
    const opens = [{ clientId: "a", queue: "mail" }, { clientId: "b", subscriber: "other" }, { clientId: "c" }];
    const queue = new Watcher(bench, { queue: "orders" });
    const subscriber = new Watcher(bench, { queue: "orders", subscriber: "billing" });
    for (const open of opens) (await bench.subscribe(open)).lost();
    await queue.left("c");
    await subscriber.left("c");
    expect(queue.told).to.deep.equal(["listed", "left b", "left c"]);
    expect(subscriber.told).to.deep.equal(["listed", "left c"]);
  });

  it("tells of another window and of draining, but not of the same window nor of counts", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe({ clientId: "a" });
    const watcher = new Watcher(bench);
    await bench.publishMany(1);
    await a.received(1);
    const flow = { maxMessages: 7, maxBytes: 0, paused: true };
    a.session.flow(flow);
    await settled();
    expect(watcher.told.slice(2)).to.deep.equal(["changed a"]);
    expect(watcher.news.at(-1)).to.have.nested.property("client.flow.paused", true);
    a.session.flow(flow);
    await a.ack(1);
    await settled();
    expect(watcher.news).to.have.length(3);
    await bench.publishMany(1);
    a.session.flow({ ...flow, paused: false });
    await a.received(2);
    a.session.drain();
    await settled();
    expect(watcher.news.at(-1)).to.have.nested.property("client.draining", true);
  });

  describe("tells why a session ended:", () => {
    type Ending = (bench: Bench, session: TestSession) => unknown;
    const cases: readonly (readonly [reason: string, how: Ending, detail: string])[] = [
      ["CANCELLED", (_bench, { session }) => { session.lost(); }, ""],
      ["CONNECTION_LOST", (_bench, { session }) => { session.lost("CONNECTION_LOST"); }, ""],
      ["HALF_CLOSED", (_bench, { session }) => { session.halfClosed(); }, ""],
      ["DRAINED", async (_bench, session) => { session.session.drain(); await session.ack(1); }, ""],
      ["DISCONNECTED", (bench, { session }) => bench.broker.disconnectClient(session.id, "make room"), "make room"],
      ["CLIENT_TIMEOUT", (bench) => { bench.clock.advance(5_000); }, "no frame came for 5000 ms, the client_timeout of this session: send a ping more often"],
      ["QUEUE_DELETED", (bench) => bench.broker.deleteQueue("orders"), "queue orders was deleted"],
      ["SUBSCRIBER_DELETED", (bench) => bench.broker.deleteSubscriber("orders", "billing"), "subscriber billing of queue orders was deleted"],
      ["CLIENT_ERROR", (_bench, { session }) => { session.failed(new BrokerError("ALREADY_OPEN", "twice")); }, "twice"],
      ["SERVER_ERROR", (_bench, { session }) => { session.failed(new BrokerError("INTERNAL", "oops")); }, "oops"],
      ["SERVER_STOPPING", (bench) => { void bench.broker.stop(0); bench.clock.advance(1); }, "the server is stopping: connect again, here or elsewhere"],
    ];
    for (const [reason, how, detail] of cases) {
      it(reason, async () => {
        const bench = await Bench.start();
        const session = await bench.subscribe({ clientId: "a", clientTimeoutMs: 5_000 });
        await bench.publishMany(1);
        await session.received(1);
        const watcher = new Watcher(bench);
        await how(bench, session);
        expect(await watcher.left("a")).to.include({ reason, detail, leaveTimeMs: bench.clock.wall() });
      });
    }

    it("STOP_REACHED", async () => {
      const bench = await Bench.start();
      const watcher = new Watcher(bench);
      await bench.publishMany(1);
      const session = await bench.subscribe({ clientId: "a", stop: { kind: "at_head" } });
      await session.received(1);
      await session.ack(1);
      expect(await watcher.left("a")).to.include({ reason: "STOP_REACHED" });
    });

    it("and what it was last, with what it held", async () => {
      const bench = await Bench.start();
      const session = await bench.subscribe({ clientId: "a" });
      await bench.publishMany(3);
      await session.received(3);
      const watcher = new Watcher(bench);
      session.lost();
      expect((await watcher.left("a")).client).to.include({ inFlightCount: 3, backlogCount: 0 });
    });
  });

  describe("that is read slowly", () => {
    it("gets the newest state of a session once, and every end, in the order of the ends", async () => {
      const bench = await Bench.start();
      const a = await bench.subscribe({ clientId: "a" });
      const b = await bench.subscribe({ clientId: "b" });
      const watcher = new Watcher(bench);
      watcher.heldUp = true;
      for (let maxMessages = 1; maxMessages <= 100; maxMessages++) {
        a.session.flow({ maxMessages, maxBytes: 0, paused: false });
        b.session.flow({ maxMessages, maxBytes: 0, paused: false });
        await settled(2);
      }
      (await bench.subscribe({ clientId: "c" })).lost();
      a.lost();
      await bench.subscribe({ clientId: "d" });
      await settled();
      watcher.takeAll();
      expect(watcher.told.slice(3)).to.deep.equal(["changed b", "left c", "left a", "joined d"]);
      expect(watcher.news[3]).to.have.nested.property("client.flow.maxMessages", 100);
    });

    it("does not count among those of the start who left before they were told", async () => {
      const bench = await Bench.start();
      const sessions = [];
      for (const clientId of ["a", "b", "c"]) sessions.push(await bench.subscribe({ clientId }));
      const watch = bench.broker.watchClients(EVERYBODY, () => undefined);
      expect(watch.take()).to.have.nested.property("client.clientId", "a");
      sessions[1]?.lost();
      const rest = [watch.take(), watch.take(), watch.take(), watch.take()];
      expect(rest.map((news) => news?.type)).to.deep.equal(["joined", "listed", "left", undefined]);
      expect(rest[1]).to.deep.equal({ type: "listed", count: 2 });
    });

    it("is over with WATCH_BACKLOG when more ends wait than there can be sessions", () => {
      const watch = new WatchedClients([], EVERYBODY, 3, new EventLoopTurns(), () => undefined, () => undefined);
      expect(watch.take()).to.deep.equal({ type: "listed", count: 0 });
      const leaves = (id: number): void => {
        watch.left({ id: String(id), queue: "q", subscriber: "", info: () => ({}) } as unknown as LiveSession, plainEnd("CANCELLED"), wallMs(1));
      };
      for (let id = 1; id <= 3; id++) leaves(id);
      expect(watch.take()).to.include({ type: "left" });
      leaves(4);
      expect(watch.take()).to.include({ type: "left" });
      leaves(5);
      leaves(6);
      const last = watch.take();
      expect(last).to.have.nested.property("error.reason", "WATCH_BACKLOG");
      expect(watch.take()).to.equal(undefined);
    });

    it("is woken once for all that one turn brings", async () => {
      const bench = await Bench.start();
      const sessions = [];
      for (let i = 0; i < 20; i++) sessions.push(await bench.subscribe({ clientId: `c${i}` }));
      const watcher = new Watcher(bench);
      await settled();
      watcher.wakes = 0;
      for (const session of sessions) session.lost();
      await settled();
      expect([watcher.wakes, watcher.news.filter(({ type }) => type === "left").length]).to.deep.equal([1, 20]);
    });
  });

  it("hears nothing more when it has stopped", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe();
    const watcher = new Watcher(bench);
    watcher.stop();
    a.lost();
    await settled();
    watcher.takeAll();
    expect([watcher.wakes, watcher.news.length]).to.deep.equal([0, 2]);
  });

  it("is over with DRAINING when the broker stops, behind the sessions that end with it; none begins then", async () => {
    const bench = await Bench.start();
    const a = await bench.subscribe({ clientId: "a" });
    const watcher = new Watcher(bench);
    const stopped = bench.broker.stop(1_000);
    a.session.drain();
    await stopped;
    await until("the watch is over", DEADLINE_MS, () => watcher.told.includes("over"));
    expect(watcher.told.slice(-2)).to.deep.equal(["left a", "over"]);
    expect(watcher.news.at(-1)).to.have.nested.property("error.reason", "DRAINING");
    expect(() => bench.broker.watchClients(EVERYBODY, () => undefined)).to.throw(BrokerError).with.property("reason", "DRAINING");
  });
});
