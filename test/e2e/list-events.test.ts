import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { ListEventsRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { ListEventsResponse } from "../../generated/tidemark/v1/admin_service.js";
import { AckMode } from "../../generated/tidemark/v1/subscribe.js";
import { until } from "../support/condition.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer } from "../support/stubs.js";

const DEADLINE_MS = 15_000;

describe("ListEvents of a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const list = (parts: Partial<ListEventsRequest> = {}): Promise<ListEventsResponse> =>
    answer((callback) => server.stubs.admin.listEvents({ ...ListEventsRequest.create(), queue: "orders", ...parts }, callback));
  const counts = async (): Promise<Record<string, bigint>> => Object.fromEntries((await list()).events.map(({ event, messageCount }) => [event, messageCount]));

  it("tells how many there are of each, the newest, and who takes them, before a restart and after", async () => {
    for (const [subscriber, events] of [["billing", ["order.*"]], ["audit", []]] as const) {
      const stream = server.stubs.subscribe({ queue: "orders", subscriber, events: [...events] });
      await stream.next("opened");
      await stream.cancel();
    }
    const before = Math.floor(Date.now() / 1_000);
    await server.stubs.publishBatch("orders", ["order.paid", "order.created", "stock.low", "order.paid"].map((event) => ({ event })));
    const { events } = await list();
    expect(events.map(({ event, messageCount, lastOffset, matchingSubscribers }) => [event, messageCount, lastOffset, matchingSubscribers])).to.deep.equal([
      ["order.created", 1n, 2n, ["audit", "billing"]],
      ["order.paid", 2n, 4n, ["audit", "billing"]],
      ["stock.low", 1n, 3n, ["audit"]],
    ]);
    for (const { lastPublishTime } of events) expect(Number(lastPublishTime?.seconds)).to.be.within(before, Date.now() / 1_000);
    await server.restart();
    expect((await list()).events).to.deep.equal(events);
  });

  it("follows what is published and what is trimmed", async () => {
    await server.stubs.publishBatch("orders", [{ event: "a" }, { event: "b" }]);
    expect(await counts()).to.deep.equal({ a: 1n, b: 1n });
    await server.stubs.publish("orders", { event: "c" });
    await until("the new event", DEADLINE_MS, async () => (await counts()).c === 1n);
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "s", ackMode: AckMode.AUTO });
    await stream.receive(3);
    await until("the settled ones are trimmed", DEADLINE_MS, async () => Object.keys(await counts()).length === 0);
    await server.stubs.publish("orders", { event: "d" });
    await until("what came since", DEADLINE_MS, async () => (await counts()).d === 1n || (await server.stubs.queue("orders")).firstOffset > 4n);
    await stream.cancel();
  });

  it("comes by name, page by page", async () => {
    const names = Array.from({ length: 25 }, (_, i) => `e${String(i).padStart(2, "0")}`);
    await server.stubs.publishBatch("orders", [...names].reverse().map((event) => ({ event })));
    const found: string[] = [];
    const sizes: number[] = [];
    for (let pageToken = ""; ; ) {
      const { events, nextPageToken } = await list({ pageSize: 10, pageToken });
      found.push(...events.map(({ event }) => event));
      sizes.push(events.length);
      if (nextPageToken === "") break;
      pageToken = nextPageToken;
    }
    expect([found, sizes]).to.deep.equal([names, [10, 10, 5]]);
    await server.stubs.publish("other", { event: "a" });
    const { nextPageToken } = await list({ pageSize: 1 });
    const foreign = await refusal(list({ queue: "other", pageToken: nextPageToken }));
    expect(foreign, foreign.details).to.include({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" }).and.have.nested.property("metadata.field", "page_token");
  });

  it("is empty for a queue without messages, and not there for one that is not", async () => {
    const stream = server.stubs.subscribe({ queue: "orders" });
    await stream.next("opened");
    expect(await list()).to.deep.equal({ events: [], nextPageToken: "" });
    await stream.cancel();
    expect(await refusal(list({ queue: "nowhere" }))).to.include({ code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" });
  });
});
