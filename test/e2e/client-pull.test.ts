import { expect } from "chai";
import { connect, type TidemarkClient, TidemarkError } from "../../src/client/index.js";
import { CliRun, type Ended, rowsOf } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";

const DEADLINE_MS = 15_000;

describe("pulling through the client", () => {
  let server: TestServer;
  let client: TidemarkClient;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    client = connect(server.address, { clientId: "nightly" });
  });

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  const publish = (count: number): Promise<unknown> => client.publishBatch("orders", Array.from({ length: count }, (_, i) => ({ event: "order.created", payload: `text ${i + 1}`, orderingKey: `k${i}` })));

  it("pulls as often at once as a program likes, without a warning of Node", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on("warning", note);
    try {
      await publish(20);
      const pulls = await Promise.all(Array.from({ length: 20 }, () => client.pull("orders", { subscriber: "billing", maxMessages: 1 })));
      expect(new Set(pulls.flatMap(({ deliveries }) => deliveries.map(({ offset }) => offset))).size).to.equal(20);
      expect(warnings).to.deep.equal([]);
    } finally {
      process.off("warning", note);
    }
  });

  it("hands over deliveries, whose verdicts are durable when they are settled", async () => {
    await publish(4);
    const pulled = await client.pull("orders", { subscriber: "billing", maxMessages: 3 });
    expect(pulled).to.include({ created: true, backlogCount: 1, ackTimeoutMs: 60_000 });
    expect(pulled.deliveries.map(({ offset, text, attempt, cause, orderingKey }) => [offset, text, attempt, cause, orderingKey])).to.deep.equal([
      [1, "text 1", 1, "NEW", "k0"],
      [2, "text 2", 1, "NEW", "k1"],
      [3, "text 3", 1, "NEW", "k2"],
    ]);
    const [one, two, three] = pulled.deliveries;
    one?.ack();
    two?.retry(0, "busy");
    three?.reject("broken");
    await pulled.settled();
    expect(await client.admin.subscriber("orders", "billing")).to.include({ committedOffset: 1, deadLetterCount: 1, inFlightCount: 0 });
    const again = await client.pull("orders", { subscriber: "billing", sessionId: pulled.sessionId });
    expect(again.deliveries.map(({ offset, attempt, lastReason }) => [offset, attempt, lastReason])).to.deep.equal([[2, 2, "busy"], [4, 1, ""]]);
    again.ack();
    await again.settled();
    expect(await client.admin.subscriber("orders", "billing")).to.include({ committedOffset: 4 });
  });

  it("says which verdict did not hold, once, and knows what it holds", async () => {
    await publish(2);
    const pulled = await client.pull("orders", { subscriber: "billing" });
    const [one, two] = pulled.deliveries;
    await client.settle(pulled.sessionId, { acks: [{ first: 1, last: 1 }] });
    expect(one?.isHeld).to.equal(true);
    one?.reject();
    two?.ack();
    expect([one?.isHeld, two?.isHeld]).to.deep.equal([false, false]);
    const error = await pulled.settled().catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(TidemarkError).and.include({ reason: "ALREADY_SETTLED" });
    await pulled.settled();
    const twice = await two?.settle({ kind: "ack" }).catch((reason: unknown) => reason);
    expect(twice).to.include({ reason: "NOT_HELD" });
    expect(await client.admin.subscriber("orders", "billing")).to.include({ committedOffset: 2 });
  });

  it("waits for a first message, and holds nothing when it is told to leave", async () => {
    const waiting = client.pull("orders", { subscriber: "billing", waitMs: 30_000 });
    await until("it waits", DEADLINE_MS, async () => (await sessions()).includes("billing"));
    await publish(1);
    const pulled = await waiting;
    pulled.ack();
    await pulled.settled();
    const leaving = new AbortController();
    const left = client.pull("orders", { subscriber: "audit", events: ["nothing"], waitMs: 30_000, signal: leaving.signal }).catch((reason: unknown) => reason);
    await until("it waits", DEADLINE_MS, async () => (await sessions()).includes("audit"));
    leaving.abort();
    expect(await left).to.include({ code: "CANCELLED" });
    await until("its session is gone", DEADLINE_MS, async () => !(await sessions()).includes("audit"));
  });

  it("extends what it holds, and settles what a stream holds", async () => {
    await publish(1);
    const pulled = await client.pull("orders", { subscriber: "billing", ackTimeoutMs: 400 });
    await pulled.extend(60_000);
    expect((await client.admin.explainMessage("orders", 1, "billing"))[0]?.sentence).to.match(/in flight with nightly .* (59|60) s of the lease/);
    const opened = new Promise<string>((resolve) => {
      const stream = client.subscribe("orders", { subscriber: "shipping", maxInFlightMessages: 1, onEvent: (event) => { if (event.type === "opened") resolve(event.sessionId); } });
      void (async () => {
        for await (const delivery of stream) if (delivery.offset === 2) delivery.ack();
      })();
    });
    await publish(1);
    const sessionId = await opened;
    await until("the stream holds one", DEADLINE_MS, async () => (await client.admin.subscriber("orders", "shipping")).inFlightCount === 1);
    const { failures } = await client.settle(sessionId, { rejects: [{ first: 1, last: 1, reason: "by hand" }], releases: [{ first: 77, last: 77 }] });
    expect(failures.map(({ firstOffset, error }) => [firstOffset, error.reason])).to.deep.equal([[77, "NOT_HELD"]]);
    await until("it goes on", DEADLINE_MS, async () => (await client.admin.subscriber("orders", "shipping")).committedOffset === 2);
  });

  async function sessions(): Promise<string[]> {
    const found: string[] = [];
    for await (const { subscriber, kind } of client.admin.clients()) if (kind === "PULL") found.push(subscriber);
    return found;
  }
});

describe("tidemark pull and tidemark settle", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: TestServer;
  let client: TidemarkClient;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    client = connect(server.address);
    await client.publishBatch("orders", ["one", "two", "three"].map((payload) => ({ event: "order.created", payload })));
  });

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  const tidemark = (...args: string[]): Promise<Ended> =>
    within(`tidemark ${args.join(" ")}`, DEADLINE_MS, new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);

  async function rows(...args: string[]): Promise<Record<string, unknown>[]> {
    return rowsOf(args, await tidemark(...args));
  }

  it("lease in one terminal and settle from another", async () => {
    const pulled = await rows("pull", "orders", "-s", "billing", "--max", "2", "--lease", "5m");
    expect(pulled.map(({ offset, payload, attempt, batch_id }) => [offset, payload, attempt, batch_id])).to.deep.equal([[1, "one", 1, 1], [2, "two", 1, 1]]);
    const session = String(pulled[0]?.["session_id"]);
    expect(await rows("settle", session, "--ack", "1", "--retry", "2", "--delay", "0s", "--reason", "no paper")).to.deep.equal([{ committed_offset: 1 }]);
    const again = await rows("pull", "orders", "-s", "billing", "--session", session, "--ack");
    expect(again.map(({ offset, last_reason }) => [offset, last_reason])).to.deep.equal([[2, "no paper"], [3, undefined]]);
    expect(await client.admin.subscriber("orders", "billing")).to.include({ committedOffset: 3 });
    expect(await rows("pull", "orders", "-s", "billing", "--ack")).to.deep.equal([]);
  });

  it("look and give back, uncounted", async () => {
    expect(await rows("pull", "orders", "-s", "billing", "--max", "1", "--release")).to.have.length(1);
    expect((await rows("pull", "orders", "-s", "billing", "--max", "1"))[0]).to.include({ offset: 1, attempt: 1, delivery_count: 1 });
  });

  it("leave at Ctrl-C while they wait, and hold nothing", async () => {
    const run = new CliRun(["pull", "orders", "nothing.*", "-s", "audit", "--wait", "1m"], "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" });
    const there = async (): Promise<number> => (await client.admin.queue("orders")).clientCount;
    await until("it waits", DEADLINE_MS, async () => (await there()) === 1);
    run.child.kill("SIGINT");
    expect(await within("it leaves", DEADLINE_MS, run.ended)).to.include({ code: 130, out: "", err: "" });
    await until("its session is gone", DEADLINE_MS, async () => (await there()) === 0);
  });

  it("fail with words where a verdict does not hold, or a session is not there", async () => {
    const [first] = await rows("pull", "orders", "-s", "billing", "--max", "1");
    const missed = await tidemark("settle", String(first?.["session_id"]), "--ack", "1,7-9");
    expect(missed.code).to.equal(1);
    expect(JSON.parse(missed.out)).to.deep.include({ committed_offset: 1, failures: [{ first: 7, last: 9, code: "NOT_HELD" }] });
    expect(missed.err).to.match(/^tidemark: 1 verdict did not hold: the delivery of offset 7 was never delivered/);
    const gone = await tidemark("settle", "nobody", "--ack", "1");
    expect([gone.code, gone.out]).to.deep.equal([1, ""]);
    expect(gone.err).to.contain("no session nobody is open");
  });

  it("refuse what cannot be meant", async () => {
    for (const args of [
      ["pull", "orders"],
      ["pull", "orders", "-s", "billing", "--ack", "--release"],
      ["pull", "orders", "-s", "billing", "--wait", "5"],
      ["settle", "s"],
      ["settle", "s", "--ack", "3-1"],
      ["settle", "s", "--ack", "1", "--delay", "5s"],
      ["settle", "s", "--ack", "1", "--reason", "x"],
      ["settle", "s", "--ack", "1", "--lease", "5m"],
    ]) {
      const { code, out, err } = await tidemark(...args);
      expect([code, out], args.join(" ")).to.deep.equal([2, ""]);
      expect(err).to.match(/^tidemark: |^error: /);
    }
  });
});
