import { expect } from "chai";
import { DeleteQueueRequest } from "../../generated/tidemark/v1/admin_service.js";
import { type ClientEvent, connect, type Delivery, type Published, type SubscribeOptions, type Subscription, type SubscriptionEvent, type TidemarkClient, TidemarkError, type WatchOptions } from "../../src/client/index.js";
import { until, within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";

const DEADLINE_MS = 10_000;

async function failureOf(promise: Promise<unknown>): Promise<TidemarkError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TidemarkError) return error;
    throw error;
  }
  throw new Error("it should have failed");
}

async function take(source: Subscription, count: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const result = await within(`delivery ${taken.length + 1} of ${count}`, DEADLINE_MS, source.next());
    if (result.done === true) throw new Error(`the subscription ended after ${taken.length} deliveries`);
    taken.push(result.value);
  }
  return taken;
}

/** Everything that a subscriber has to get at this moment, acked. */
async function rest(client: TidemarkClient, queue: string, options: SubscribeOptions): Promise<number[]> {
  const offsets: number[] = [];
  const onEvent = (event: SubscriptionEvent): void => {
    if (event.type === "notice" && event.reason === "CAUGHT_UP") subscription.drain();
  };
  const subscription = client.subscribe(queue, { ...options, onEvent });
  for await (const delivery of subscription) {
    offsets.push(delivery.offset);
    delivery.ack();
  }
  return offsets;
}

describe("the client against a server", () => {
  let server: TestServer;
  let client: TidemarkClient;

  beforeEach(async () => {
    server = await startTestServer();
    client = connect(server.address, { patienceMs: DEADLINE_MS, clientId: "e2e" });
  });

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  const publish = (queue: string, event: string, payload = ""): Promise<Published> => client.publish(queue, { event, payload });

  describe("watching who is connected", () => {
    /** Everything that a watch tells, until it ends or fails. */
    function watched(options: WatchOptions = {}): { readonly events: ClientEvent[]; readonly ended: Promise<void> } {
      const events: ClientEvent[] = [];
      const ended = (async () => {
        for await (const event of client.admin.watchClients(options)) events.push(event);
      })();
      ended.catch(() => undefined);
      return { events, ended };
    }

    const told = (events: readonly ClientEvent[], type: ClientEvent["type"]): Promise<ClientEvent> => until(`${type} is told`, DEADLINE_MS, () => events.find((event) => event.type === type));

    it("tells who is there, who comes and goes, and why; and disconnects by name of the session", async () => {
      const { events, ended } = watched({ queue: "orders" });
      expect(await told(events, "listed")).to.deep.equal({ type: "listed", clientCount: 0 });
      const stream = client.subscribe("orders", { subscriber: "billing", maxInFlightMessages: 9 });
      const over = failureOf(stream.next());
      const joined = await told(events, "joined");
      if (joined.type !== "joined") throw new Error(joined.type);
      expect(joined.client).to.include({ clientId: "e2e", queue: "orders", subscriber: "billing", maxInFlightMessages: 9, sharing: "SHARED", standby: false, draining: false, paused: false, waitingFor: "NOTHING_NEW", backlogCount: 0 });
      expect(joined.client.userAgent).to.match(/^grpc-node-js\//);
      expect(joined.client.lastFrameTime).to.be.instanceOf(Date);
      const last = await client.admin.disconnectClient(joined.client.sessionId, "make room");
      expect(last.clientId).to.equal("e2e");
      expect(await over).to.include({ code: "ABORTED", reason: "DISCONNECTED" });
      expect(await told(events, "left")).to.include({ reason: "DISCONNECTED", detail: "make room" }).and.have.property("time").that.is.instanceOf(Date);
      expect(await failureOf(client.admin.disconnectClient(joined.client.sessionId))).to.include({ reason: "SESSION_NOT_FOUND" });
      await client.close();
      await within("the watch ends with its client", DEADLINE_MS, ended);
    });

    it("ends without an error when its signal is aborted or its loop is left, and with one for a filter that cannot be", async () => {
      const leaving = new AbortController();
      const { events, ended } = watched({ signal: leaving.signal });
      await told(events, "listed");
      leaving.abort();
      await within("the watch ends", DEADLINE_MS, ended);
      for await (const event of client.admin.watchClients()) if (event.type === "listed") break;
      expect(await failureOf(watched({ subscriber: "s" }).ended)).to.include({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" });
    });

    it("fails with DRAINING when the broker stops", async () => {
      const { events, ended } = watched();
      await told(events, "listed");
      await server.server.stop();
      expect(await failureOf(ended)).to.include({ code: "UNAVAILABLE", reason: "DRAINING" });
    });

    it("says what runs at the other end, and when a queue was last published to", async () => {
      expect(await client.admin.server()).to.deep.include({ engine: "lmdb", durability: "FSYNC" });
      await publish("orders", "order.created");
      const queue = await client.admin.queue("orders");
      expect(queue).to.include({ deadLetterCount: 0, clientCount: 0 });
      expect(queue.lastPublishTime?.getTime()).to.be.closeTo(Date.now(), 10_000);
    });
  });

  it("publishes thousands in one turn and gets each of them once, in order", async () => {
    const count = 5_000;
    const published = await Promise.all(Array.from({ length: count }, (_, i) => publish("orders", "order.created", String(i))));
    expect(published.map(({ offset }) => offset)).to.deep.equal(Array.from({ length: count }, (_, i) => i + 1));
    const subscription = client.subscribe("orders", { subscriber: "billing" });
    let expected = 0;
    for await (const delivery of subscription) {
      expect(delivery.text).to.equal(String(expected));
      expect(delivery.offset).to.equal(++expected);
      delivery.ack();
      if (expected === count) break;
    }
    expect(await rest(client, "orders", { subscriber: "billing" })).to.deep.equal([]);
  });

  it("carries bytes, headers, id and key, and the time of publishing", async () => {
    const payload = Buffer.from([0, 255, 1, 254]);
    const before = Date.now();
    await client.publish("orders", { event: "a.b", payload, headers: { trace: "ü" }, messageId: "m-1", orderingKey: "k" });
    const [delivery] = await take(client.subscribe("orders", { subscriber: "s" }), 1);
    expect(delivery).to.deep.include({ event: "a.b", payload, headers: { trace: "ü" }, messageId: "m-1", orderingKey: "k", attempt: 1, deliveryCount: 1, cause: "NEW" });
    expect(delivery!.publishTime?.getTime()).to.be.within(before - 1_000, Date.now() + 1_000);
  });

  it("tells a message that is known, and one that nobody takes", async () => {
    const message = { event: "order.created", payload: "1", messageId: "m-1" };
    expect(await client.publish("orders", message)).to.include({ offset: 1, duplicate: false, matched: false });
    expect(await client.publish("orders", message)).to.include({ offset: 1, duplicate: true });
    expect(await failureOf(client.publish("orders", { ...message, payload: "2" }))).to.include({ code: "ALREADY_EXISTS", reason: "MESSAGE_ID_REUSED" });
    const [delivery] = await take(client.subscribe("orders", { subscriber: "s", events: ["order.*"] }), 1);
    delivery!.ack();
    expect((await publish("orders", "order.paid")).matched).to.equal(true);
    expect((await publish("orders", "oder.paid")).matched).to.equal(false);
  });

  it("publishes a batch at consecutive offsets, or refuses all of it", async () => {
    const messages = ["a", "b", "c"].map((payload) => ({ event: "e", payload }));
    expect(await client.publishBatch("orders", messages, { expectedLastOffset: 0 })).to.include({ firstOffset: 1, lastOffset: 3, unmatchedCount: 3 });
    const refused = await failureOf(client.publishBatch("orders", messages, { expectedLastOffset: 0 }));
    expect(refused).to.include({ code: "FAILED_PRECONDITION", reason: "UNEXPECTED_LAST_OFFSET" });
    expect((await publish("orders", "e")).offset).to.equal(4);
  });

  it("refuses one bad message without harm to those beside it", async () => {
    const outcomes = await Promise.allSettled([
      publish("orders", "e", "before"),
      publish("orders", "not an event"),
      publish("orders", "e", "x".repeat(1024 * 1024)),
      publish("orders", "e", "x".repeat(3 * 1024 * 1024)),
      publish("no queue!", "e"),
      publish("orders", "e", "after"),
    ]);
    const words = outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value.offset : (outcome.reason as TidemarkError).reason));
    expect(words).to.deep.equal([1, "INVALID_FIELD", "MESSAGE_TOO_LARGE", "MESSAGE_TOO_LARGE", "INVALID_FIELD", 2]);
  });

  it("retries with the reason kept, releases uncounted, and never sees again what it rejected or acked", async () => {
    await client.publishBatch("orders", ["ack", "retry", "reject", "release"].map((payload) => ({ event: "e", payload })));
    const subscription = client.subscribe("orders", { subscriber: "s" });
    const [ack, retry, reject, release] = await take(subscription, 4);
    await Promise.all([
      ack!.settle({ kind: "ack" }),
      retry!.settle({ kind: "retry", delayMs: 20, reason: "busy" }),
      reject!.settle({ kind: "reject", reason: "unreadable" }),
      release!.settle({ kind: "release" }),
    ]);
    const again = await take(subscription, 2);
    const byText = new Map(again.map((delivery) => [delivery.text, delivery]));
    expect(byText.get("retry")).to.include({ attempt: 2, deliveryCount: 1, cause: "RETRY", lastReason: "busy" });
    expect(byText.get("release")).to.include({ attempt: 1, deliveryCount: 1, cause: "RELEASED" });
    for (const delivery of again) delivery.ack();
    await subscription.close();
    expect(await rest(client, "orders", { subscriber: "s" })).to.deep.equal([]);
  });

  it("keeps what the application holds beyond the ack timeout, for as long as it extends", async () => {
    await publish("orders", "e");
    const events: SubscriptionEvent[] = [];
    const slow = client.subscribe("orders", { subscriber: "s", ackTimeoutMs: 300 });
    const hasty = client.subscribe("other", { subscriber: "s", ackTimeoutMs: 300, extendLeases: false, onEvent: (event) => events.push(event) });
    await publish("other", "e");
    const [held] = await take(slow, 1);
    const [lost] = await take(hasty, 1);
    // Where leases are not extended, two of them run out; meanwhile the other one was kept.
    const [second] = await take(hasty, 1);
    const [third] = await take(hasty, 1);
    expect([second!.deliveryCount, third!.deliveryCount, third!.cause]).to.deep.equal([2, 3, "TIMEOUT"]);
    expect(held!.isHeld).to.equal(true);
    await held!.settle({ kind: "ack" });
    expect((await failureOf(lost!.settle({ kind: "ack" }))).reason).to.equal("LEASE_LOST");
    await third!.settle({ kind: "ack" });
    await slow.close();
    expect(await rest(client, "orders", { subscriber: "s" })).to.deep.equal([]);
  });

  it("shares a subscriber between clients, each message to one of them", async () => {
    const count = 400;
    const options = { subscriber: "s", maxInFlightMessages: 20 };
    const seen: number[] = [];
    const work = async (subscription: Subscription): Promise<number> => {
      let own = 0;
      for await (const delivery of subscription) {
        seen.push(delivery.offset);
        own++;
        await new Promise((resolve) => setImmediate(resolve));
        delivery.ack();
      }
      return own;
    };
    const subscriptions = [client.subscribe("orders", options), client.subscribe("orders", options)];
    const workers = subscriptions.map(work);
    await Promise.all(Array.from({ length: count }, () => publish("orders", "e")));
    await until("all are seen", DEADLINE_MS, () => seen.length >= count);
    for (const subscription of subscriptions) subscription.drain();
    const owns = await Promise.all(workers);
    expect(seen.sort((a, b) => a - b)).to.deep.equal(Array.from({ length: count }, (_, i) => i + 1));
    expect(Math.min(...owns)).to.be.greaterThan(0);
  });

  it("ends an AUTO subscription at the head", async () => {
    await Promise.all(Array.from({ length: 250 }, () => publish("orders", "e")));
    let count = 0;
    for await (const delivery of client.subscribe("orders", { acks: "auto", from: "earliest", stop: "at_head" })) {
      expect(delivery.isHeld).to.equal(false);
      delivery.ack();
      count++;
    }
    expect(count).to.equal(250);
  });

  it("ends a subscription with acks of its own at the head, or after some messages, when they are settled", async () => {
    await Promise.all(Array.from({ length: 250 }, () => publish("orders", "e")));
    const seen: number[] = [];
    const work = async (stop: NonNullable<SubscribeOptions["stop"]>): Promise<void> => {
      for await (const delivery of client.subscribe("orders", { subscriber: "s", stop })) {
        if (delivery.offset % 100 === 0 && delivery.attempt === 1) delivery.retry(1);
        else {
          delivery.ack();
          seen.push(delivery.offset);
        }
      }
    };
    await work({ afterMessages: 120 });
    expect(new Set(seen).size).to.equal(120);
    await work("at_head");
    expect(new Set(seen).size).to.equal(250);
    expect((await client.admin.subscriber("orders", "s")).committedOffset).to.equal(250);
  });

  it("begins where it is told to", async () => {
    await Promise.all(Array.from({ length: 10 }, () => publish("orders", "e")));
    expect((await take(client.subscribe("orders", { from: { afterOffset: 7 } }), 1))[0]!.offset).to.equal(8);
    const opened = new Promise<void>((resolve) => {
      const latest = client.subscribe("orders", { onEvent: (event) => event.type === "opened" && resolve() });
      void take(latest, 1).then(([delivery]) => offsets.push(delivery!.offset));
    });
    const offsets: number[] = [];
    await opened;
    await publish("orders", "e");
    await until("the newest one", DEADLINE_MS, () => offsets.length > 0);
    expect(offsets).to.deep.equal([11]);
  });

  it("ends with the broker's reason when the subscriber has another filter, or the queue is deleted", async () => {
    await client.subscribe("orders", { subscriber: "s", events: ["a.*"] }).return();
    const first = client.subscribe("orders", { subscriber: "s", events: ["a.*"], onEvent: () => opened++ });
    let opened = 0;
    const ending = failureOf(first.next());
    await until("an open session", DEADLINE_MS, () => opened > 0);
    const other = client.subscribe("orders", { subscriber: "s", events: ["b.*"] });
    expect(await failureOf(other.next())).to.include({ code: "FAILED_PRECONDITION", reason: "FILTER_MISMATCH" });
    const admin = await server.connect();
    await new Promise<void>((resolve, reject) => {
      admin.admin.deleteQueue(DeleteQueueRequest.create({ queue: "orders" }), (error) => (error === null ? resolve() : reject(error)));
    });
    expect(await ending).to.include({ code: "NOT_FOUND", reason: "QUEUE_DELETED" });
  });

  it("works alone on an exclusive subscriber, and the one that stood by takes over", async () => {
    const events: SubscriptionEvent[] = [];
    const options = { subscriber: "ledger", exclusive: true };
    await Promise.all([1, 2, 3].map((payload) => publish("orders", "e", String(payload))));
    const worker = client.subscribe("orders", options);
    const [one] = await take(worker, 2);
    const standby = client.subscribe("orders", { ...options, onEvent: (event) => events.push(event) });
    const next = take(standby, 2);
    await until("the second stands by", DEADLINE_MS, () => events.some((event) => event.type === "opened" && event.standby));
    expect(await failureOf(client.subscribe("orders", { subscriber: "ledger" }).next())).to.include({ code: "FAILED_PRECONDITION", reason: "SHARING_MISMATCH" });
    await one!.settle({ kind: "ack" });
    await worker.close();
    expect((await next).map(({ offset, deliveryCount }) => [offset, deliveryCount])).to.deep.equal([[2, 1], [3, 1]]);
    expect(events.some((event) => event.type === "notice" && event.reason === "TAKEN_OVER")).to.equal(true);
  });

  it("goes on from the position that the application keeps, and is told when that is lost", async () => {
    await Promise.all([1, 2, 3, 4].map((payload) => publish("orders", "e", String(payload))));
    const { queueId } = await client.admin.queue("orders");
    const options = { subscriber: "ledger", exclusive: true, queueId };
    const subscription = client.subscribe("orders", { ...options, processedThrough: 2 });
    expect((await take(subscription, 2)).map(({ offset }) => offset)).to.deep.equal([3, 4]);
    await subscription.close();
    const forgetful = await failureOf(client.subscribe("orders", { ...options, processedThrough: 1 }).next());
    expect(forgetful).to.include({ code: "FAILED_PRECONDITION", reason: "CLIENT_BEHIND" });
    expect(forgetful.metadata).to.include({ value: "1", settled_through: "2" });
  });

  it("leaves no lease behind when the loop is left", async () => {
    await Promise.all(Array.from({ length: 5 }, () => publish("orders", "e")));
    for await (const delivery of client.subscribe("orders", { subscriber: "s" })) {
      delivery.ack();
      if (delivery.offset === 2) break;
    }
    const stubs = await server.connect();
    expect(await stubs.subscriber("orders", "s")).to.include({ inFlightCount: 0n, committedOffset: 2n, backlogCount: 3n });
    const [third] = await take(client.subscribe("orders", { subscriber: "s" }), 1);
    expect(third).to.include({ offset: 3, attempt: 1, deliveryCount: 1 });
  });
});

describe("the client when the server goes away", function () {
  // Each test starts servers, which on a busy machine take their time.
  this.timeout(60_000);
  let dataDir: Awaited<ReturnType<typeof temporaryDataDir>>;
  let server: ServerProcess;
  let client: TidemarkClient;
  let events: SubscriptionEvent[];

  beforeEach(async () => {
    events = [];
    dataDir = await temporaryDataDir();
    server = await ServerProcess.start({ dataDir: dataDir.path });
    client = connect(server.address, { patienceMs: 20_000 });
  });

  afterEach(async () => {
    await client.close();
    await server.kill();
    await dataDir.remove();
  });

  const onEvent = (event: SubscriptionEvent): void => {
    events.push(event);
  };
  const restart = async (): Promise<void> => {
    server = await ServerProcess.start({ dataDir: dataDir.path, listen: server.address });
  };

  it("goes on after a kill: what is settled stays settled, what is not comes again", async () => {
    await client.publishBatch("orders", ["1", "2", "3"].map((payload) => ({ event: "e", payload })));
    const subscription = client.subscribe("orders", { subscriber: "s", onEvent });
    const [one, two] = await take(subscription, 3);
    await one!.settle({ kind: "ack" });
    await server.kill();
    await until("the break is noticed", DEADLINE_MS, () => events.some(({ type }) => type === "reconnecting"));
    expect((await failureOf(two!.settle({ kind: "ack" }))).reason).to.equal("LEASE_LOST");
    const later = client.publish("orders", { event: "e", payload: "4", messageId: "m-4" });
    await restart();
    expect((await later).offset).to.equal(4);
    const again = await take(subscription, 3);
    expect(again.map(({ offset }) => offset)).to.deep.equal([2, 3, 4]);
    for (const delivery of again) delivery.ack();
    await subscription.close();
    expect(await rest(client, "orders", { subscriber: "s" })).to.deep.equal([]);
  });

  it("does not see again what it acked before a kill, whether or not it heard that it was stored", async () => {
    const count = 500;
    await client.publishBatch("orders", Array.from({ length: count }, (_, i) => ({ event: "e", payload: String(i) })));
    const subscription = client.subscribe("orders", { subscriber: "s", onEvent });
    const first = await take(subscription, count);
    // The server dies with these acks on their way, in its memory or on its disk.
    for (const delivery of first.slice(0, 300)) delivery.ack();
    await server.kill();
    await until("the break is noticed", DEADLINE_MS, () => events.some(({ type }) => type === "reconnecting"));
    await restart();
    const again = await take(subscription, count - 300);
    expect(again.map(({ offset }) => offset)).to.deep.equal(Array.from({ length: count - 300 }, (_, i) => 301 + i));
    for (const delivery of again) delivery.ack();
    await subscription.close();
    expect(await rest(client, "orders", { subscriber: "s" })).to.deep.equal([]);
  });

  it("stores messages with an id once, though they were sent again after kills", async () => {
    const published: Promise<Published>[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 200; i++) {
        const id = `r${round}-${i}`;
        published.push(client.publish("orders", { event: "e", payload: id, messageId: id }));
      }
      // The first answers are in, the rest is on its way: a kill in the middle.
      await published[round * 200];
      published.push(client.publish("orders", { event: "e", payload: `late-${round}`, messageId: `late-${round}` }));
      await server.kill();
      await restart();
    }
    const offsets = (await within("all answers", 30_000, Promise.all(published))).map(({ offset }) => offset);
    expect(new Set(offsets).size).to.equal(603);
    const texts: string[] = [];
    for await (const delivery of client.subscribe("orders", { acks: "auto", from: "earliest", stop: "at_head" })) texts.push(delivery.text);
    expect(texts).to.have.length(603);
    expect(new Set(texts).size).to.equal(603);
  });

  it("loses nothing without a name either, from where it had come to", async () => {
    const subscription = client.subscribe("orders", { from: "earliest", onEvent });
    await client.publishBatch("orders", ["1", "2"].map((payload) => ({ event: "e", payload })));
    const [one] = await take(subscription, 2);
    one!.ack();
    await server.kill();
    await until("the break is noticed", DEADLINE_MS, () => events.some(({ type }) => type === "reconnecting"));
    await restart();
    await client.publish("orders", { event: "e", payload: "3" });
    expect((await take(subscription, 2)).map(({ text }) => text)).to.deep.equal(["2", "3"]);
  });

  it("follows a server that stops in good order, and comes back to the next one", async () => {
    await client.publishBatch("orders", ["1", "2"].map((payload) => ({ event: "e", payload })));
    const subscription = client.subscribe("orders", { subscriber: "s", onEvent });
    const [one] = await take(subscription, 1);
    const stopped = server.stop();
    await until("the server says that it goes", DEADLINE_MS, () => events.some(({ type }) => type === "going_away"));
    await one!.settle({ kind: "ack" });
    expect((await stopped).code).to.equal(0);
    await restart();
    const [two] = await take(subscription, 1);
    expect(two).to.include({ offset: 2, attempt: 1, deliveryCount: 1 });
  });
});
