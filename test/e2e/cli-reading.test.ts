import { expect } from "chai";
import { connect, type StoredMessage, type TidemarkClient } from "../../src/client/index.js";
import { CliRun, type Ended, rowsOf } from "../support/cli-run.js";
import { within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";

const DEADLINE_MS = 15_000;

describe("looking at messages, events and dead letters", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: TestServer;
  let client: TidemarkClient;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    client = connect(server.address, { clientId: "worker-1" });
  });

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  const tidemark = (...args: string[]): Promise<Ended> =>
    within(`tidemark ${args.join(" ")}`, DEADLINE_MS, new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);

  /** The lines of JSON that a run must succeed with. */
  async function rows(...args: string[]): Promise<Record<string, unknown>[]> {
    return rowsOf(args, await tidemark(...args));
  }

  async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
    const found: T[] = [];
    for await (const item of source) found.push(item);
    return found;
  }

  const publish = (...events: string[]): Promise<unknown> => client.publishBatch("orders", events.map((event, i) => ({ event, payload: `text ${i + 1}`, headers: { source: "shop" } })));

  /** Has `billing` reject everything up to an offset. */
  async function rejectThrough(last: number, reason: string): Promise<void> {
    for await (const delivery of client.subscribe("orders", { subscriber: "billing" })) {
      await delivery.settle({ kind: "reject", reason });
      if (delivery.offset === last) break;
    }
  }

  it("peeks through the client across pages, and ends at the end or the limit", async () => {
    for (let i = 0; i < 3; i++) await client.publishBatch("orders", Array.from({ length: 1_000 }, (_, j) => ({ event: j % 2 === 0 ? "even" : "odd", payload: "x" })));
    const offsets = async (options: Parameters<TidemarkClient["admin"]["peek"]>[1]): Promise<number[]> => (await all(client.admin.peek("orders", options))).map(({ offset }: StoredMessage) => offset);
    const whole = await offsets({});
    expect([whole.length, whole[0], whole.at(-1)]).to.deep.equal([3_000, 1, 3_000]);
    expect(await offsets({ events: ["even"] })).to.have.length(1_500);
    expect(await offsets({ from: { last: 3 } })).to.deep.equal([2_998, 2_999, 3_000]);
    expect(await offsets({ from: { last: 1_200 }, events: ["odd"], limit: 2 })).to.deep.equal([602, 604]);
    expect(await offsets({ from: { offset: 2_999 } })).to.deep.equal([2_999, 3_000]);
    expect(await offsets({ from: { time: new Date(Date.now() + 60_000) } })).to.deep.equal([]);
  });

  it("peeks from the command line, by place, filter and count, and takes nothing", async () => {
    await publish("order.created", "stock.low", "order.paid");
    await client.publish("orders", { event: "order.raw", payload: Buffer.from([0xff]) });
    const peeked = await rows("peek", "orders");
    expect(peeked[0]).to.deep.include({ queue: "orders", offset: 1, event: "order.created", payload: "text 1", headers: { source: "shop" } }).and.have.property("publish_time");
    expect(peeked[3]).to.include({ payload_base64: "/w==" });
    const offsets = async (...args: string[]): Promise<unknown[]> => (await rows("peek", "orders", ...args)).map(({ offset }) => offset);
    expect(await offsets("order.*", "--last", "2")).to.deep.equal([3, 4]);
    expect(await offsets("--from", "2", "--limit", "2")).to.deep.equal([2, 3]);
    expect(await offsets("--since", "1h")).to.deep.equal([1, 2, 3, 4]);
    expect(await offsets("--since", "2999-01-01")).to.deep.equal([]);
    expect(await client.admin.queue("orders")).to.include({ messageCount: 4, subscriberCount: 0 });
  });

  it("says on stderr that there may be more than it shows unasked", async () => {
    await client.publishBatch("orders", Array.from({ length: 101 }, () => ({ event: "a", payload: "x" })));
    const { code, out, err } = await tidemark("peek", "orders");
    expect([code, out.trim().split("\n").length]).to.deep.equal([0, 100]);
    expect(err).to.equal("100 messages, and there may be more: go on with --from 101, or say how many with --limit\n");
    expect(await rows("peek", "orders", "--limit", "1000")).to.have.length(101);
  });

  it("lists events with their subscribers", async () => {
    await publish("stock.low", "order.created", "order.created");
    await rows("subscribe", "orders", "order.*", "--subscriber", "billing", "--count", "1", "--no-ack", "--from", "earliest");
    const events = await all(client.admin.events("orders"));
    expect(events.map(({ event, messageCount, lastOffset, matchingSubscribers }) => [event, messageCount, lastOffset, matchingSubscribers])).to.deep.equal([
      ["order.created", 2, 3, ["billing"]],
      ["stock.low", 1, 1, []],
    ]);
    const [order, stock] = await rows("event", "list", "orders");
    expect(order).to.deep.include({ event: "order.created", message_count: 2, last_offset: 3, matching_subscribers: ["billing"], last_publish_time: events[0]?.lastPublishTime?.toISOString() });
    expect(stock).to.deep.include({ event: "stock.low", matching_subscribers: [] });
  });

  it("lists dead letters by every filter, and shows one in full", async () => {
    await publish("order.created", "stock.low", "order.paid");
    await rejectThrough(3, "no such customer");
    const letters = await all(client.admin.deadLetters("orders", "billing"));
    expect(letters[0]).to.deep.include({ queue: "orders", subscriber: "billing", reason: "REJECTED", detail: "no such customer", attempts: 1, deliveries: 1, holderClientId: "worker-1", payloadBytes: 6 });
    expect(letters[0]?.message).to.deep.include({ offset: 1, event: "order.created", payload: Buffer.from("text 1"), headers: { source: "shop" } });
    expect((await all(client.admin.deadLetters("orders", "billing", { omitPayload: true }))).map(({ message, payloadBytes }) => [message.payload.length, payloadBytes])).to.deep.equal(Array(3).fill([0, 6]));
    const offsets = async (...args: string[]): Promise<unknown[]> => (await rows("dead-letter", "list", "orders", "billing", ...args)).map(({ offset }) => offset);
    expect(await offsets()).to.deep.equal([1, 2, 3]);
    expect(await offsets("--event", "order.*")).to.deep.equal([1, 3]);
    expect(await offsets("--reason", "max-attempts", "expired")).to.deep.equal([]);
    expect(await offsets("--reason", "rejected", "--since", "1h", "--offsets", "2-3,7")).to.deep.equal([2, 3]);
    expect(await offsets("--until", "1h")).to.deep.equal([]);
    const [shown] = await rows("dead-letter", "show", "orders", "billing", "2");
    expect(shown).to.deep.include({ queue: "orders", subscriber: "billing", offset: 2, event: "stock.low", payload: "text 2", headers: { source: "shop" }, reason: "REJECTED", detail: "no such customer", attempts: 1, deliveries: 1, holder_client_id: "worker-1", payload_bytes: 6 });
    expect(shown).to.include.keys("publish_time", "dead_letter_time", "holder_session_id");
  });

  it("says what to do when there is nothing to show", async () => {
    await publish("order.created");
    await rejectThrough(1, "no");
    const fails = async (code: number, message: RegExp, ...args: string[]): Promise<void> => {
      const ended = await tidemark(...args);
      expect([ended.code, ended.out], ended.err).to.deep.equal([code, ""]);
      expect(ended.err).to.match(message);
    };
    await fails(1, /message #9 is no dead letter of billing; "tidemark dead-letter list orders billing" shows those that there are/, "dead-letter", "show", "orders", "billing", "9");
    await fails(1, /from_offset is 99.*begin with \d to 2 \(BEYOND_HEAD\)/, "peek", "orders", "--from", "99");
    await fails(1, /there is no queue nowhere.*"tidemark queue list"/, "event", "list", "nowhere");
    await fails(1, /has no subscriber nobody.*"tidemark subscriber list orders"/, "dead-letter", "list", "orders", "nobody");
    await fails(2, /--from and --last say different places to begin with; leave one out/, "peek", "orders", "--from", "1", "--last", "2");
    await fails(2, /It must be how long ago/, "peek", "orders", "--since", "yesterday");
    await fails(2, /It must be offsets and runs of them, from 1: 3,10-20/, "dead-letter", "list", "orders", "billing", "--offsets", "5-2");
    await fails(2, /Allowed choices are rejected, max-attempts, max-deliveries, expired/, "dead-letter", "list", "orders", "billing", "--reason", "lazy");
  });
});
