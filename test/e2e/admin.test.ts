import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { ClientKind } from "../../generated/tidemark/v1/client.js";
import type { Client } from "../../generated/tidemark/v1/client.js";
import { Durability } from "../../generated/tidemark/v1/message.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { AckMode } from "../../generated/tidemark/v1/subscribe.js";
import { until } from "../support/condition.js";
import { callEnd, refusal } from "../support/raw-calls.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { answer } from "../support/stubs.js";
import type { Stubs } from "../support/stubs.js";

const DEADLINE_MS = 5_000;

describe("administration of queues, subscribers and clients", () => {
  let server: TestServer;
  let stubs: Stubs;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory", autoCreateQueues: false });
    stubs = await server.connect();
  });

  afterEach(async () => {
    await server.close();
  });

  const createQueue = (parts: Partial<Queue>): Promise<{ queue: Queue | undefined }> =>
    answer((callback) => stubs.admin.createQueue({ queue: { ...Queue.create(), ...parts } }, callback));
  const deleteQueue = (queue: string, queueId = ""): Promise<unknown> => answer((callback) => stubs.admin.deleteQueue({ queue, queueId }, callback));
  const clients = async (queue = "", subscriber = ""): Promise<Client[]> =>
    (await answer<{ clients: Client[] }>((callback) => stubs.admin.listClients({ queue, subscriber, pageSize: 0, pageToken: "" }, callback))).clients;

  it("makes a queue once, and answers the same one when asked again", async () => {
    const { queue } = await createQueue({ name: "orders" });
    expect(queue).to.include({ name: "orders", ordering: Ordering.UNORDERED, headOffset: 0n, firstOffset: 1n, messageCount: 0n, durability: Durability.MEMORY });
    expect(queue?.queueId).not.to.equal("");
    expect((await createQueue({ name: "orders" })).queue?.queueId).to.equal(queue?.queueId);
    expect((await stubs.queue("orders")).queueId).to.equal(queue?.queueId);
  });

  it("makes ordered queues, and keeps to the order a queue was made with", async () => {
    expect((await createQueue({ name: "lanes", ordering: Ordering.ORDERED })).queue).to.include({ name: "lanes", ordering: Ordering.ORDERED });
    expect(await refusal(createQueue({ name: "lanes", ordering: Ordering.UNORDERED }))).to.include({ code: Code.ALREADY_EXISTS, reason: "QUEUE_EXISTS" });
  });

  it("does not make queues by naming them when that is off", async () => {
    expect(await refusal(stubs.publish("none", { event: "a" }))).to.include({ code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" });
    expect(callEnd(await stubs.subscribe({ queue: "none" }).ended)).to.include({ code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" });
  });

  it("lists queues by name, page by page", async () => {
    for (const name of ["c", "a", "e", "b", "d"]) await createQueue({ name });
    const names: string[] = [];
    const sizes: number[] = [];
    for (let pageToken = ""; ; ) {
      const { queues, nextPageToken } = await answer<{ queues: Queue[]; nextPageToken: string }>((callback) => stubs.admin.listQueues({ pageSize: 2, pageToken }, callback));
      names.push(...queues.map(({ name }) => name));
      sizes.push(queues.length);
      if (nextPageToken === "") break;
      pageToken = nextPageToken;
    }
    expect(names).to.deep.equal(["a", "b", "c", "d", "e"]);
    expect(sizes).to.deep.equal([2, 2, 1]);
  });

  it("deletes a queue only in the incarnation that is meant, and ends its streams", async () => {
    const { queue } = await createQueue({ name: "orders" });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "s" });
    await stream.next("opened");
    expect(await refusal(deleteQueue("orders", "0".repeat(32)))).to.include({ code: Code.FAILED_PRECONDITION, reason: "QUEUE_ID_MISMATCH" });
    await deleteQueue("orders", queue?.queueId);
    expect(callEnd(await stream.ended)).to.include({ code: Code.NOT_FOUND, reason: "QUEUE_DELETED" });
    expect(await refusal(stubs.queue("orders"))).to.include({ reason: "QUEUE_NOT_FOUND" });
  });

  it("tells of subscribers, and deletes them with their streams", async () => {
    await createQueue({ name: "orders" });
    await stubs.publish("orders", { event: "order.created" });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "billing", events: ["order.*"], ackTimeout: { seconds: 5n, nanos: 0 } });
    await stream.receive(1);
    const found = await stubs.subscriber("orders", "billing");
    expect(found).to.deep.include({ queue: "orders", name: "billing", events: ["order.*"], inFlightCount: 1n, clientCount: 1, committedOffset: 0n });
    expect(found.effectiveSettings).to.include({ maxAttempts: 10, maxDeliveries: 20, maxUnsettled: 10_000 });
    await answer((callback) => stubs.admin.deleteSubscriber({ queue: "orders", subscriber: "billing" }, callback));
    expect(callEnd(await stream.ended)).to.include({ code: Code.NOT_FOUND, reason: "SUBSCRIBER_DELETED" });
    expect(await refusal(stubs.subscriber("orders", "billing"))).to.include({ code: Code.NOT_FOUND, reason: "SUBSCRIBER_NOT_FOUND" });
  });

  it("lists who is connected, to what, and from where, until they leave", async () => {
    await createQueue({ name: "orders" });
    await createQueue({ name: "mail" });
    const worker = stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "worker-1", labels: { zone: "north" }, flow: { maxMessages: 7, maxBytes: 0n, paused: false } });
    const tail = stubs.subscribe({ queue: "orders", ackMode: AckMode.AUTO });
    await Promise.all([worker.next("opened"), tail.next("opened")]);
    expect(await clients("mail")).to.deep.equal([]);
    expect(await clients("orders")).to.have.length(2);
    expect((await stubs.queue("orders")).clientCount).to.equal(2);
    const [found] = await clients("orders", "billing");
    expect(found).to.deep.include({ clientId: "worker-1", queue: "orders", subscriber: "billing", ackMode: AckMode.EXPLICIT, kind: ClientKind.STREAM, labels: { zone: "north" } });
    expect(found?.flow?.maxMessages).to.equal(7);
    expect(found?.peer).to.match(/^127\.0\.0\.1:\d+$/);
    await Promise.all([worker.cancel(), tail.cancel()]);
    await until("nobody is connected", DEADLINE_MS, async () => (await clients()).length === 0);
  });
});
