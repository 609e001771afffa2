import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { AckMode, DeliveryCause, StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import { Durability } from "../../generated/tidemark/v1/message.js";
import { until } from "../support/condition.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { payload, Stubs } from "../support/stubs.js";
import type { ReceivedMessage, SubscribeStream } from "../support/subscribe-stream.js";

const texts = (messages: readonly ReceivedMessage[]): string[] => messages.map((message) => message.payload.toString());

describe("the story of a queue", () => {
  let dataDir: Awaited<ReturnType<typeof temporaryDataDir>>;
  let server: ServerProcess;
  let shop: Stubs;

  beforeEach(async () => {
    dataDir = await temporaryDataDir();
    await start();
  });

  afterEach(async () => {
    shop.close();
    await server.kill();
    await dataDir.remove();
  });

  async function start(): Promise<void> {
    server = await ServerProcess.start({ dataDir: dataDir.path });
    shop = new Stubs(server.address);
    await shop.ready();
  }

  /** Power cord out, power cord in: no chance to say goodbye, and the same directory afterwards. */
  async function crash(): Promise<void> {
    shop.close();
    await server.kill();
    await start();
  }

  const publish = (event: string, text: string, queue = "orders") => shop.publish(queue, { event, body: payload(text), messageId: `${event}/${text}` });

  function subscribe(subscriber: string, events: string[], queue = "orders"): SubscribeStream {
    return shop.subscribe({ queue, subscriber, events, start: { $case: "startAt", value: StartPosition.EARLIEST }, heartbeat: { seconds: 1n, nanos: 0 } });
  }

  it("delivers, waits for who is away, brings back what was not acked, and survives being killed", async () => {
    // Two queues. Billing wants orders only, the audit wants everything, the mailer reads the other queue.
    let billing = subscribe("billing", ["order.*"]);
    let audit = subscribe("audit", []);
    const mailer = subscribe("mailer", [], "mail");
    expect((await billing.next("opened")).created).to.equal(true);
    await audit.next("opened");
    await mailer.next("opened");

    // Two publishers at once; an answer says that the disk has it, and who will get it.
    const [first] = await Promise.all([publish("order.created", "1001"), publish("mail.requested", "welcome", "mail")]);
    expect(first).to.include({ offset: 1n, duplicate: false, durability: Durability.FSYNC, matchedSubscribers: 2 });
    const stock = await publish("stock.low", "screws");
    expect(stock.matchedSubscribers).to.equal(1);
    await publish("order.paid", "1001");

    // Each gets what it asked for, in the order of the queue.
    const billed = await billing.receive(2);
    expect(billed.map(({ event, offset }) => [event, offset])).to.deep.equal([["order.created", 1n], ["order.paid", 3n]]);
    expect(texts(await audit.receive(3))).to.deep.equal(["1001", "screws", "1001"]);
    expect(texts(await mailer.receive(1))).to.deep.equal(["welcome"]);

    // Billing acks the first and dies with the second in its hands; the audit leaves without a word about any of its three.
    expect((await billing.ack(billed.slice(0, 1))).committedOffset).to.equal(2n);
    await billing.cancel();
    await audit.cancel();

    // The unacked one comes again, and says that it has been out before.
    billing = subscribe("billing", ["order.*"]);
    expect(await billing.next("opened")).to.include({ created: false, committedOffset: 2n });
    const [again] = await billing.receive(1);
    expect(again).to.include({ offset: 3n, deliveryCount: 2, attempt: 1, cause: DeliveryCause.DISCONNECT });

    // This time billing says goodbye: what it still holds goes back, and that is not counted.
    expect((await billing.halfClose()).code).to.equal(status.OK);

    // Nobody listens now, and the shop goes on; in the middle of it the server is killed.
    const missed = [];
    for (let order = 1002; order <= 1011; order++) missed.push(await publish("order.created", String(order)));
    await publish("stock.low", "nails");
    await crash();

    // A publisher that had lost its connection sends again: the same message, not another one.
    expect(await publish("order.created", "1011")).to.include({ offset: missed.at(-1)?.offset, duplicate: true });
    await publish("order.paid", "1002");

    // Billing returns and catches up in order, with the count that the unacked one had.
    billing = subscribe("billing", ["order.*"]);
    expect(await billing.next("opened")).to.include({ created: false, committedOffset: 2n, headOffset: 15n, backlogCount: 12n });
    const caughtUp = await billing.receive(12);
    const seenBefore = caughtUp.filter(({ deliveryCount }) => deliveryCount > 1);
    const neverSeen = caughtUp.filter(({ deliveryCount }) => deliveryCount === 1);
    expect(seenBefore.map(({ offset, deliveryCount }) => [offset, deliveryCount])).to.deep.equal([[3n, 2]]);
    expect(texts(neverSeen)).to.deep.equal(["1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1002"]);
    expect((await billing.ack(caughtUp)).failures).to.deep.equal([]);

    // Acked by all means gone from the disk; until then everything stays, for the audit has not spoken yet.
    expect((await shop.queue("orders")).messageCount).to.equal(15n);
    audit = subscribe("audit", []);
    expect((await audit.next("opened")).backlogCount).to.equal(15n);
    await audit.ack(await audit.receive(15));
    await until("the queue is empty", 10_000, async () => (await shop.queue("orders")).messageCount === 0n);

    // Killed once more: what was settled never comes again, and what is new comes alone.
    await crash();
    billing = subscribe("billing", ["order.*"]);
    expect(await billing.next("opened")).to.include({ committedOffset: 15n, backlogCount: 0n });
    expect(await publish("order.created", "1012")).to.include({ offset: 16n });
    expect(texts(await billing.receive(1))).to.deep.equal(["1012"]);
    expect((await shop.subscriber("orders", "audit")).backlogCount).to.equal(1n);

    // The mail of the beginning was never acked, so it is still there for its reader.
    const mail = shop.subscribe({ queue: "mail", subscriber: "mailer", ackMode: AckMode.AUTO, stop: { $case: "stopAtHead", value: true } });
    expect(texts(await mail.receive(1))).to.deep.equal(["welcome"]);
    expect((await mail.ended).code).to.equal(status.OK);
  }).timeout(60_000);

  it("keeps every key of an ordered queue in order, through a retry that holds up its key alone, and a kill", async () => {
    await shop.createOrderedQueue("parcels");
    const move = (text: string) => shop.publish("parcels", { event: "parcel.moved", orderingKey: text.charAt(0), body: payload(text), messageId: text });
    let depot = subscribe("depot", [], "parcels");
    await depot.next("opened");
    for (const text of ["a1", "b1", "a2", "b2", "c1", "a3"]) await move(text);

    // The first of each key and no more: what is behind waits for its verdict.
    const firsts = await depot.receive(3);
    expect(texts(firsts)).to.deep.equal(["a1", "b1", "c1"]);
    const [a1, ...others] = firsts;
    const { offset, batchId } = a1!;
    const askedAt = performance.now();
    await depot.settle({ retries: [{ range: { first: offset, last: offset, batchId }, delay: { seconds: 2n, nanos: 0 }, reason: "the gate is shut" }] });

    // The other keys go on meanwhile, b to its end, and no parcel of a is seen before its first one is back.
    await depot.ack(others);
    const b2 = await depot.receive(1);
    expect(texts(b2)).to.deep.equal(["b2"]);
    expect((await depot.ack(b2)).committedOffset, "a1 holds the committed offset").to.equal(0n);
    const again = await depot.receive(1);
    expect(again[0]).to.include({ offset: 1n, attempt: 2, deliveryCount: 1, cause: DeliveryCause.RETRY });
    expect(performance.now() - askedAt).to.be.at.least(1_900);
    await depot.ack(again);
    expect(texts(await depot.receive(1))).to.deep.equal(["a2"]);

    // Killed with a2 out: what it holds up and what is published meanwhile comes in order, and nothing that was settled.
    await move("b3");
    await crash();
    expect(await move("b3")).to.include({ offset: 7n, duplicate: true });
    await move("a4");
    depot = subscribe("depot", [], "parcels");
    expect(await depot.next("opened")).to.include({ created: false, committedOffset: 2n, headOffset: 8n, backlogCount: 4n });
    const caughtUp: string[] = [];
    while (caughtUp.length < 4) {
      const [next] = await depot.receive(1);
      caughtUp.push(next!.payload.toString());
      await depot.ack([next!]);
    }
    expect(caughtUp.filter((text) => text.startsWith("a"))).to.deep.equal(["a2", "a3", "a4"]);
    expect(caughtUp.filter((text) => text.startsWith("b"))).to.deep.equal(["b3"]);
    expect(depot.waiting).to.deep.equal([]);
    await until("the queue is empty", 10_000, async () => (await shop.queue("parcels")).messageCount === 0n);
  }).timeout(60_000);
});
