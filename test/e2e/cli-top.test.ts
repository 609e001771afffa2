import { expect } from "chai";
import { CliRun, type Ended } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { StoredServer } from "../support/stored-server.js";

const DEADLINE_MS = 20_000;

describe("top in a pipe", function () {
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const start = (...args: string[]): CliRun => new CliRun(["top", ...args], undefined, { TIDEMARK_ADDRESS: server.address });
  const ended = (...args: string[]): Promise<Ended> => within(`top ${args.join(" ")}`, DEADLINE_MS, start(...args).ended);

  it("writes one object for one look, of one queue if that is asked for", async () => {
    await server.stubs.publish("mail", { event: "a" });
    for (let i = 0; i < 3; i++) await server.stubs.publish("orders", { event: "a" });
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "worker", flow: { maxMessages: 1, maxBytes: 0n, paused: false } });
    await stream.receive(1);
    const run = await ended("--once", "--queue", "orders");
    expect([run.code, run.err]).to.deep.equal([0, ""]);
    const sample = JSON.parse(run.out) as Record<string, Record<string, unknown>[]>;
    expect(sample.server).to.include({ engine: "lmdb", durability: "FSYNC" });
    expect(sample.queues?.map(({ name, message_count: count, slowest_backlog_count: slowest }) => [name, count, slowest])).to.deep.equal([["orders", 3, 2]]);
    expect(sample.subscribers?.[0]).to.include({ name: "billing", backlog_count: 2, in_flight_count: 1, client_count: 1 });
    expect(sample.clients?.[0]).to.include({ client_id: "worker", waiting_for: "FLOW" });
    await stream.cancel();
  });

  it("writes one object each time, with rates, goes on when the broker is back, and ends in order", async () => {
    // A queue has a rate from the second look at it on.
    await server.stubs.publish("orders", { event: "a" });
    const run = start("--interval", "200ms");
    await until("it has looked twice", DEADLINE_MS, () => run.lines.length >= 2);
    for (let i = 0; i < 20; i++) await server.stubs.publish("orders", { event: "a" });
    await until("it sees them come", DEADLINE_MS, () => run.lines.some(({ queues }) => (queues as Record<string, number>[]).some(({ in_per_second: rate = 0 }) => rate > 0)));
    await server.kill();
    await until("it misses the broker", DEADLINE_MS, () => run.err.includes("trying again"));
    await server.revive();
    await until("it is back", DEADLINE_MS, () => run.err.includes("connected again"));
    const before = run.lines.length;
    await until("it goes on", DEADLINE_MS, () => run.lines.length > before);
    run.child.kill("SIGINT");
    expect((await within("it ends", DEADLINE_MS, run.ended)).code).to.equal(0);
  });

  it("refuses times that are none, queues that are not there, and a broker that does not answer", async () => {
    for (const interval of ["2", "10ms", "2h", "x", "-1s"]) {
      const run = await ended("--interval", interval);
      expect([run.code, run.out], interval).to.deep.equal([2, ""]);
      expect(run.err).to.match(/It must be a time with its unit, such as 500ms, 2s or 1m, from 200 ms to 3600000 ms\./);
    }
    expect(await ended("--queue", "none", "--once")).to.include({ code: 1, err: 'tidemark: there is no queue none: create it first; "tidemark queue list" shows those that there are\n' });
    await server.kill();
    expect((await ended("--once")).err).to.match(/^tidemark: no broker answers at /);
  });
});
