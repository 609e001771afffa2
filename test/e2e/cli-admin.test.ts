import { expect } from "chai";
import { Sharing } from "../../generated/tidemark/v1/subscribe.js";
import { CliRun, type Ended, rowsOf } from "../support/cli-run.js";
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
    return rowsOf(args, await tidemark(...args));
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

  it("makes a queue with settings, shows them, changes some and has others inherited again", async () => {
    const made = (await rows("queue", "create", "payments", "--ordered", "--ack-timeout", "30s", "--on-poison", "block-lane", "--backoff-max", "2m", "--dedup-window", "0s", "--window-bytes", "70000", "--on-expiry", "dead-letter"))[0];
    const settings = { ack_timeout_ms: 30_000, on_poison: "BLOCK_LANE", backoff_max_ms: 120_000, window_bytes: 70_000, on_expiry: "DEAD_LETTER", dedup_window_ms: 0 };
    expect(made?.settings).to.deep.equal(settings);
    expect(await rows("queue", "show", "payments")).to.deep.equal([made]);
    expect(await rows("queue", "create", "payments", "--ordered"), "no claim on settings").to.deep.equal([made]);
    expect((await tidemark("queue", "create", "payments", "--ordered", "--ack-timeout", "5s")).err).to.match(/ack_timeout is 30000, not 5000.*\(QUEUE_EXISTS\)\n$/);

    const changed = (await rows("queue", "update", "payments", "--ack-timeout", "500ms", "--backoff-max", "inherit", "--max-attempts", "3"))[0];
    const { backoff_max_ms: inherited, ...kept } = settings;
    expect(changed?.settings).to.deep.equal({ ...kept, ack_timeout_ms: 500, max_attempts: 3 });
    expect(await rows("queue", "show", "payments")).to.deep.equal([changed]);
    await rows("publish", "payments", "card.charged", "x");
    await rows("subscribe", "payments", "--subscriber", "billing", "--count", "1");
    const [billing] = await rows("subscriber", "show", "payments", "billing");
    expect(billing?.effective_settings).to.deep.equal({
      ...{ ack_timeout_ms: 500, max_attempts: 3, max_deliveries: 20, on_poison: "BLOCK_LANE", backoff_min_ms: 100, backoff_max_ms: 60_000, backoff_factor: 2 },
      ...{ max_unsettled: 10_000, window_messages: 1_000, window_bytes: 70_000, expire_after_ms: 0, on_expiry: "DEAD_LETTER" },
    });
    expect(inherited).to.equal(120_000);
    expect(await rows("subscriber", "list", "payments")).to.deep.equal([billing]);
    const all = ["--ack-timeout", "--max-attempts", "--max-deliveries", "--on-poison", "--backoff-min", "--backoff-max", "--backoff-factor", "--max-unsettled", "--window-messages", "--window-bytes", "--expire-after", "--on-expiry", "--dedup-window", "--dedup-ids", "--retention", "--max-age", "--max-bytes", "--max-messages", "--when-full"];
    expect((await rows("queue", "update", "payments", ...all.flatMap((flag) => [flag, "inherit"])))[0]?.settings).to.deep.equal({});
  });

  it("makes a queue that is a log, bounds it, and shows what a subscriber lost", async () => {
    const [made] = await rows("queue", "create", "audit", "--retention", "log", "--max-age", "7d");
    expect(made?.settings).to.deep.equal({ retention: "LOG", max_age_ms: 7 * 86_400_000 });
    await rows("subscriber", "create", "audit", "reader");
    for (let i = 0; i < 5; i++) await rows("publish", "audit", "login", "x");
    const [bounded] = await rows("queue", "update", "audit", "--max-messages", "2", "--max-age", "inherit");
    expect(bounded?.settings).to.deep.equal({ retention: "LOG", max_messages: 2, when_full: "DROP_OLDEST" });
    await until("the oldest are gone", 10_000, async () => (await rows("queue", "show", "audit"))[0]?.first_offset === 4);
    expect((await rows("subscriber", "show", "audit", "reader"))[0]).to.include({ dropped_count: 3, backlog_count: 2 });
    await rows("queue", "update", "audit", "--when-full", "reject-new");
    expect((await tidemark("publish", "audit", "login", "x")).err).to.match(/queue audit has 2 messages, its max_messages is 2.*\(LOG_FULL\)\n$/);
  });

  it("says which setting cannot be, and what could", async () => {
    await rows("queue", "create", "orders");
    const [before] = await rows("queue", "show", "orders");
    const usage: [string[], RegExp][] = [
      [[], /^tidemark: nothing to change: name a setting, such as --ack-timeout 30s; "tidemark queue update --help" shows them all\n$/],
      [["--ack-timeout", "30"], /--ack-timeout <time>' argument '30' is invalid\. It must be a time with its unit, .*inherit/],
      [["--max-attempts", "0"], /--max-attempts <count>' argument '0' is invalid\. It must be a whole number from 1/],
      [["--on-poison", "drop"], /Allowed choices are dead-letter, block-lane, inherit\./],
    ];
    for (const [flags, err] of usage) {
      const ended = await tidemark("queue", "update", "orders", ...flags);
      expect(ended, flags.join(" ")).to.include({ code: 2, out: "" });
      expect(ended.err).to.match(err);
    }
    expect(await tidemark("queue", "create", "new", "--ack-timeout", "inherit")).to.include({ code: 2, out: "" });
    const refused: [string[], RegExp][] = [
      [["update", "orders", "--ack-timeout", "10ms"], /subscriber_defaults\.ack_timeout .*allowed: 100 ms to 43200000 ms \(INVALID_FIELD\)\n$/],
      [["update", "orders", "--backoff-factor", "99"], /subscriber_defaults\.backoff\.factor is "99"; allowed: 1 to 10 \(INVALID_FIELD\)\n$/],
      [["update", "orders", "--backoff-max", "50ms"], /backoff\.max_delay is "50 ms"; allowed: at least the min_delay of 100 ms \(INVALID_FIELD\)\n$/],
      [["update", "orders", "--max-attempts", "5000000000"], /maxAttempts is 5000000000; allowed: .* \(INVALID_FIELD\)\n$/],
      [["create", "new", "--dedup-ids", "10000001"], /dedup_ids_max is "10000001"; allowed: 0 to 10000000 \(INVALID_FIELD\)\n$/],
      [["update", "orders", "--on-poison", "block-lane"], /orders is UNORDERED and has no lanes to block: .*\(ORDERED_QUEUE_REQUIRED\)\n$/],
      [["create", "new", "--on-poison", "block-lane"], /\(ORDERED_QUEUE_REQUIRED\)\n$/],
      [["update", "nowhere", "--max-attempts", "3"], /^tidemark: there is no queue nowhere: .*"tidemark queue list"/],
    ];
    for (const [args, err] of refused) {
      const ended = await tidemark("queue", ...args);
      expect(ended, args.join(" ")).to.include({ code: 1, out: "" });
      expect(ended.err).to.match(err);
    }
    expect(await rows("queue", "list")).to.deep.equal([before]);
  });

  it("counts the lanes that are blocked; whoever decides on an exclusive subscriber stands by, and an update frees the rest", async () => {
    await rows("queue", "create", "payments", "--ordered", "--on-poison", "block-lane", "--max-attempts", "1");
    const stubs = await server.connect();
    for (const orderingKey of ["ada", "bob"]) await stubs.publish("payments", { event: "card.charged", orderingKey });
    const session = { queue: "payments", subscriber: "billing", sharing: Sharing.EXCLUSIVE };
    const worker = stubs.subscribe(session);
    const [first, second] = await worker.receive(2);
    const byHand = (offset: bigint): { range: { first: bigint; last: bigint; batchId: bigint }; reason: string } => ({ range: { first: offset, last: 0n, batchId: 0n }, reason: "card service is down" });
    await worker.settle({ retries: [first, second].map((delivery) => ({ ...byHand(delivery?.offset ?? 0n), range: { first: delivery?.offset ?? 0n, last: 0n, batchId: delivery?.batchId ?? 0n }, delay: undefined })) });
    const counts = async (): Promise<unknown[]> => (await rows("subscriber", "list", "payments")).map(({ blocked_lane_count: blocked, dead_letter_count: dead }) => [blocked, dead]);
    expect(await counts()).to.deep.equal([[2, 0]]);

    const operator = stubs.subscribe({ ...session, flow: { maxMessages: 0, maxBytes: 0n, paused: true } });
    expect(await operator.next("opened")).to.include({ standby: true });
    expect((await operator.settle({ rejects: [byHand(1n)] })).failures).to.deep.equal([]);
    expect(await counts()).to.deep.equal([[1, 1]]);
    await rows("queue", "update", "payments", "--on-poison", "dead-letter");
    await until("the other lane is free", DEADLINE_MS, async () => String(await counts()) === "0,2");
    await Promise.all([operator.cancel(), worker.cancel()]);
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
    expect((await rows("subscriber", "show", "orders", "billing"))[0]).to.deep.include({ name: "billing", queue: "orders", events: ["order.*"], committed_offset: 1, in_flight_count: 0, client_count: 0, blocked_lane_count: 0 });
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
