import { expect } from "chai";
import { CliRun, type Ended } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";

const DEADLINE_MS = 15_000;

describe("the commands that look after a broker", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(30_000);
  let server: TestServer;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
  });

  afterEach(() => server.close());

  const start = (args: readonly string[]): CliRun => new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" });
  const tidemark = (...args: string[]): Promise<Ended> => within(`tidemark ${args.join(" ")}`, DEADLINE_MS, start(args).ended);

  /** The lines of JSON that a run must succeed with. */
  async function rows(...args: string[]): Promise<Record<string, unknown>[]> {
    const { code, out, err } = await tidemark(...args);
    expect([code, err], args.join(" ")).to.deep.equal([0, ""]);
    return out === "" ? [] : out.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it("makes queues, ordered and not, lists them by name and shows one", async () => {
    expect(await rows("queue", "list")).to.deep.equal([]);
    expect((await rows("queue", "create", "payments", "--ordered"))[0]).to.include({ name: "payments", ordering: "ORDERED", message_count: 0, first_offset: 1, head_offset: 0, durability: "MEMORY" });
    await rows("queue", "create", "orders");
    await rows("publish", "orders", "order.created", "x");
    expect((await rows("queue", "list")).map(({ name, ordering, message_count: messages }) => [name, ordering, messages])).to.deep.equal([["orders", "UNORDERED", 1], ["payments", "ORDERED", 0]]);
    const [shown] = await rows("queue", "show", "orders");
    expect(shown).to.include({ name: "orders", message_count: 1, head_offset: 1, subscriber_count: 0 });
    expect(shown?.bytes).to.be.greaterThan(0);
  });

  it("takes the same queue made twice for no failure, and another ordering for one", async () => {
    const [first] = await rows("queue", "create", "orders");
    expect((await rows("queue", "create", "orders"))[0]).to.deep.equal(first);
    const other = await tidemark("queue", "create", "orders", "--ordered");
    expect(other).to.include({ code: 1, out: "" });
    expect(other.err).to.match(/^tidemark: .*orders.*UNORDERED.*\(QUEUE_EXISTS\)\n$/);
  });

  it("deletes nothing where nobody can be asked, unless --yes says so", async () => {
    await rows("publish", "orders", "order.created", "x");
    await rows("subscribe", "orders", "--subscriber", "billing", "--count", "1", "--no-ack");
    const queue = await tidemark("queue", "delete", "orders");
    expect(queue).to.include({ code: 2, out: "" });
    expect(queue.err).to.equal("tidemark: this deletes the queue orders with 1 message and 1 subscriber, for good; there is no terminal to ask at, so say --yes to go on\n");
    const subscriber = await tidemark("subscriber", "delete", "orders", "billing");
    expect(subscriber).to.include({ code: 2, out: "" });
    expect(subscriber.err).to.match(/^tidemark: this deletes the subscriber billing of orders with 1 unsettled message and 0 dead letters, for good; .*--yes/);
    expect(await rows("subscriber", "list", "orders")).to.have.length(1);

    expect(await rows("subscriber", "delete", "orders", "billing", "--yes")).to.deep.equal([{ queue: "orders", subscriber: "billing", deleted: true }]);
    expect(await rows("subscriber", "list", "orders")).to.deep.equal([]);
    expect((await rows("queue", "delete", "orders", "-y"))[0]).to.include({ queue: "orders", deleted: true });
    expect(await rows("queue", "list")).to.deep.equal([]);
  });

  it("purges a queue up to an offset, after it has said what would be lost", async () => {
    for (const event of ["order.created", "order.paid", "stock.low"]) await rows("publish", "orders", event, "x");
    const [queue] = await rows("queue", "show", "orders");
    const [counted] = await rows("queue", "purge", "orders", "--through", "2", "--dry-run");
    expect(counted).to.include({ queue: "orders", queue_id: queue?.queue_id, dry_run: true, purged_count: 2, through_offset: 2 });
    const unasked = await tidemark("queue", "purge", "orders", "--through", "2");
    expect(unasked).to.include({ code: 2, out: "" });
    expect(unasked.err).to.match(/^tidemark: this drops 2 messages, \d+ B, of queue orders up to #2, settled or not, for 0 subscribers with 0 clients connected, for good; .*--yes/);
    expect((await rows("queue", "show", "orders"))[0], "nothing was dropped so far").to.deep.equal(queue);

    expect(await rows("queue", "purge", "orders", "--through", "2", "--yes")).to.deep.equal([{ ...counted, dry_run: false }]);
    expect((await rows("queue", "show", "orders"))[0]).to.include({ first_offset: 3, message_count: 1, bytes: Number(queue?.bytes) - Number(counted?.purged_bytes) });
    expect((await rows("queue", "purge", "orders", "-y"))[0]).to.include({ purged_count: 1, through_offset: 3 });
    // Nothing is left to be asked about.
    expect((await rows("queue", "purge", "orders"))[0]).to.include({ purged_count: 0, purged_bytes: 0 });
  });

  it("says what cannot be purged", async () => {
    await rows("publish", "orders", "order.created", "x");
    expect((await tidemark("queue", "purge", "orders", "--through", "2", "--yes")).err).to.match(/through_offset is 2, .* offset 1: .*\(BEYOND_HEAD\)\n$/);
    expect(await tidemark("queue", "purge", "orders", "--through", "0")).to.include({ code: 2, out: "" });
    expect((await tidemark("queue", "purge", "nowhere", "--yes")).err).to.include("there is no queue nowhere");
  });

  it("shows how far a subscriber is, and who is connected for it", async () => {
    for (const event of ["order.created", "order.paid", "stock.low"]) await rows("publish", "orders", event, "x");
    await rows("subscribe", "orders", "order.*", "--subscriber", "billing", "--count", "1");
    expect((await rows("subscriber", "show", "orders", "billing"))[0]).to.deep.include({ name: "billing", queue: "orders", events: ["order.*"], committed_offset: 1, in_flight_count: 0, client_count: 0, max_attempts: 10 });
    const run = start(["subscribe", "orders", "--subscriber", "audit"]);
    try {
      // What billing has acked may be gone by now.
      await until("what is there", DEADLINE_MS, () => run.lines.some(({ offset }) => offset === 3));
      const clients = await rows("client", "list");
      expect(clients).to.have.length(1);
      expect(clients[0]).to.include({ client_id: "tidemark-cli", queue: "orders", subscriber: "audit", ack_mode: "EXPLICIT", waiting_for: "NOTHING_NEW", backlog_count: 0, standby: false, draining: false });
      expect(clients[0]?.user_agent).to.match(/^grpc-node-js/);
      expect(clients[0]?.session_id).to.match(/^[0-9a-f]+$/);
      expect(await rows("client", "list", "--queue", "orders", "--subscriber", "billing")).to.deep.equal([]);
      expect((await rows("subscriber", "list", "orders")).map(({ name, client_count: clients }) => [name, clients])).to.deep.equal([["audit", 1], ["billing", 0]]);
    } finally {
      run.child.kill("SIGINT");
      await within("the end of the subscriber", DEADLINE_MS, run.ended);
    }
  });

  it("watches who comes and goes, and why, and says why it ended", async () => {
    const watch = start(["client", "watch", "--queue", "orders"]);
    const told = (): unknown[] => watch.lines.map(({ type, reason }) => (reason === undefined ? type : [type, reason].join(" ")));
    await until("the watch begins", DEADLINE_MS, () => watch.lines.length === 1);
    expect(watch.lines[0]).to.include({ type: "listed", client_count: 0 });
    const run = start(["subscribe", "orders", "--subscriber", "billing"]);
    await until("it is told", DEADLINE_MS, () => watch.lines.length === 2);
    expect(watch.lines[1]?.client).to.include({ client_id: "tidemark-cli", queue: "orders", subscriber: "billing" });
    run.child.kill("SIGKILL");
    await until("its end is told", DEADLINE_MS, () => watch.lines.length === 3);
    expect(told()).to.deep.equal(["listed", "joined", "left CONNECTION_LOST"]);
    await server.server.stop();
    const { code, err } = await within("the watch ends", DEADLINE_MS, watch.ended);
    expect([code, err]).to.deep.equal([1, "tidemark: the server is stopping: connect again, here or elsewhere (DRAINING)\n"]);
  });

  it("ends a watch in order at Ctrl-C, and refuses one of a subscriber without a queue", async () => {
    const watch = start(["client", "watch"]);
    await until("the watch begins", DEADLINE_MS, () => watch.lines.length === 1);
    watch.child.kill("SIGINT");
    expect(await within("the watch ends", DEADLINE_MS, watch.ended)).to.include({ code: 0, err: "" });
    expect(await tidemark("client", "watch", "--subscriber", "s")).to.include({ code: 2, err: "tidemark: --subscriber names a subscriber of a queue; say which with --queue\n" });
  });

  it("disconnects a client by the beginning of its session, if it is told from others and nobody has to be asked", async () => {
    const runs = [start(["subscribe", "orders", "--subscriber", "a"]), start(["subscribe", "orders", "--subscriber", "b"])];
    await until("both are connected", DEADLINE_MS, async () => (await rows("client", "list")).length === 2);
    const [first, second] = await rows("client", "list", "--queue", "orders", "--subscriber", "a").then(async ([a]) => [a, ...(await rows("client", "list", "--queue", "orders", "--subscriber", "b"))]);
    const a = String(first?.session_id);
    const b = String(second?.session_id);
    const beginning = Array.from(a, (_, i) => a.slice(0, i + 1)).find((some) => !b.startsWith(some)) ?? a;
    expect((await tidemark("client", "disconnect", "")).code).to.equal(2);
    expect(await tidemark("client", "disconnect", "zzz", "--yes")).to.include({ code: 1, err: 'tidemark: no open session begins with zzz; "tidemark client list" shows those that there are\n' });
    expect((await tidemark("client", "disconnect", beginning)).err).to.equal("tidemark: this disconnects tidemark-cli from orders/a, until it comes back; there is no terminal to ask at, so say --yes to go on\n");
    expect((await rows("client", "disconnect", beginning, "--reason", "make room", "--yes"))[0]).to.include({ session_id: a, subscriber: "a", disconnected: true });
    const [sentAway, stays] = runs;
    const ended = await within("it is sent away", DEADLINE_MS, sentAway?.ended ?? Promise.reject(new Error("no run")));
    expect([ended.code, ended.err]).to.deep.equal([1, "tidemark: an operator ended this session: make room (DISCONNECTED)\n"]);
    expect((await rows("client", "list")).map(({ session_id: id }) => id)).to.deep.equal([b]);
    stays?.child.kill("SIGINT");
    await within("the other leaves", DEADLINE_MS, stays?.ended ?? Promise.reject(new Error("no run")));
  });

  it("lists more than a page of queues", async () => {
    const stubs = await server.connect();
    const names = Array.from({ length: 120 }, (_, i) => `q${String(i).padStart(3, "0")}`);
    for (const name of names) await stubs.publish(name, { event: "a.b" });
    expect((await rows("queue", "list")).map(({ name }) => name)).to.deep.equal(names);
  });

  it("says which queue or subscriber there is none of, and how to see those that there are", async () => {
    const missing = 'there is no queue nowhere: create it first; "tidemark queue list" shows those that there are';
    for (const args of [["queue", "show", "nowhere"], ["queue", "delete", "nowhere", "--yes"], ["subscriber", "list", "nowhere"]]) {
      expect(await tidemark(...args), args.join(" ")).to.include({ code: 1, out: "", err: `tidemark: ${missing}\n` });
    }
    await rows("queue", "create", "orders");
    expect((await tidemark("subscriber", "show", "orders", "nobody")).err).to.equal('tidemark: queue orders has no subscriber nobody; "tidemark subscriber list orders" shows those that there are\n');
    expect((await tidemark("queue", "create", "no name")).err).to.match(/\(INVALID_FIELD\)\n$/);
    expect(await tidemark("client", "list", "--subscriber", "s")).to.include({ code: 2, err: "tidemark: --subscriber names a subscriber of a queue; say which with --queue\n" });
  });
});
