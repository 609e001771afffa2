import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { AckMode, Settlement, SettleFailureCode, StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import { StoredServer } from "../support/stored-server.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { answer } from "../support/stubs.js";
import type { Stubs } from "../support/stubs.js";

const ACK_ALL: Partial<Settlement> = { acks: [{ first: 1n, last: 1_000n, batchId: 0n }] };

describe("a Subscribe stream whose client has finished sending", () => {
  let server: TestServer;
  let stubs: Stubs;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    stubs = await server.connect();
  });

  afterEach(async () => {
    await server.close();
  });

  const publish = (count: number): Promise<unknown> => stubs.publishBatch("orders", Array.from({ length: count }, () => ({ event: "order.created" })));
  const auto = { queue: "orders", ackMode: AckMode.AUTO, start: { $case: "startAt", value: StartPosition.EARLIEST } } as const;

  it("goes on under AUTO until its stop", async () => {
    await publish(2);
    const session = stubs.subscribe({ ...auto, stop: { $case: "stopAfterMessages", value: 3n } });
    const ended = session.halfClose();
    await session.receive(2);
    await publish(5);
    await session.receive(1);
    expect((await ended).code).to.equal(Code.OK);
    expect(session.waiting).to.deep.equal([]);
  });

  it("goes on under AUTO until it is cancelled", async () => {
    const session = stubs.subscribe({ ...auto, subscriber: "tail" });
    await session.next("opened");
    const ended = session.halfClose();
    await publish(2);
    await session.receive(2);
    await session.cancel();
    expect((await ended).code).to.equal(Code.CANCELLED);
  });

  it("ends at once under AUTO at the head of an empty queue", async () => {
    const session = stubs.subscribe({ ...auto, stop: { $case: "stopAtHead", value: true } });
    expect((await session.halfClose()).code).to.equal(Code.OK);
  });

  it("ends under EXPLICIT with what it held given back, and hears of AUTO when it settled nothing", async () => {
    await publish(2);
    const silent = stubs.subscribe({ queue: "orders", subscriber: "s" });
    await silent.receive(2);
    const ended = silent.halfClose();
    let reason = "";
    while (reason !== "HALF_CLOSED_EXPLICIT") ({ reason } = await silent.next("notice"));
    expect((await ended).code).to.equal(Code.OK);
    const next = stubs.subscribe({ queue: "orders", subscriber: "s" });
    expect((await next.receive(2)).map(({ deliveryCount }) => deliveryCount)).to.deep.equal([1, 1]);
  });

  it("answers an ack that waits behind its lane as lost, before it ends", async () => {
    await answer((callback) => stubs.admin.createQueue({ queue: Queue.fromPartial({ name: "orders", ordering: Ordering.ORDERED }) }, callback));
    await publish(2);
    const session = stubs.subscribe({ queue: "orders", subscriber: "s", maxInFlightPerLane: 2 });
    await session.receive(2);
    session.send({ $case: "settle", value: { ...Settlement.create(), acks: [{ first: 2n, last: 0n, batchId: 1n }] } }, 7n);
    const ended = session.halfClose();
    const { requestIds, failures } = await session.next("result");
    expect(requestIds).to.deep.equal([7n]);
    expect(failures.map(({ code, range }) => [code, range?.first])).to.deep.equal([[SettleFailureCode.LEASE_LOST, 2n]]);
    expect((await ended).code).to.equal(Code.OK);
  });

  it("ends a drain with nothing held at once, under both", async () => {
    for (const ackMode of [AckMode.AUTO, AckMode.EXPLICIT]) {
      const session = stubs.subscribe({ queue: "orders", subscriber: "s", ackMode });
      await session.next("opened");
      session.send({ $case: "drain", value: {} });
      expect((await session.ended).code).to.equal(Code.OK);
    }
  });
});

describe("a Subscribe stream that stops under EXPLICIT", () => {
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const atHead = { queue: "orders", subscriber: "s", stop: { $case: "stopAtHead", value: true } } as const;

  it("ends at once at the head of an empty queue, of a new subscriber and of one that has read all", async () => {
    expect((await server.stubs.subscribe(atHead).ended).code).to.equal(Code.OK);
    expect((await server.stubs.subscribe({ ...atHead, subscriber: "" }).ended).code).to.equal(Code.OK);
    await server.stubs.publishBatch("orders", [{ event: "order.created" }]);
    expect((await server.stubs.subscribe({ ...atHead, subscriber: "t", events: ["other"] }).ended).code, "its filter takes nothing").to.equal(Code.OK);
    const reader = server.stubs.subscribe(atHead);
    await reader.receive(1);
    await reader.settle(ACK_ALL);
    expect((await reader.ended).code).to.equal(Code.OK);
    expect((await server.stubs.subscribe(atHead).ended).code).to.equal(Code.OK);
  });

  it("at the head waits for what another session holds, and what it settled outlives the server", async () => {
    await server.stubs.publishBatch("orders", [{ event: "order.created" }, { event: "order.created" }]);
    const other = server.stubs.subscribe({ queue: "orders", subscriber: "s", flow: { maxMessages: 1, maxBytes: 0n, paused: false } });
    await other.receive(1);
    const session = server.stubs.subscribe(atHead);
    await session.receive(1);
    await session.settle(ACK_ALL);
    expect((await session.settle({ acks: [{ first: 2n, last: 0n, batchId: 0n }] })).failures, "it goes on").to.deep.equal([]);
    await other.settle(ACK_ALL);
    expect((await session.ended).code).to.equal(Code.OK);
    await server.crash();
    expect((await server.stubs.subscribe(atHead).ended).code).to.equal(Code.OK);
  });

  it("after some messages holds no more than are missing, and ends when they are settled", async () => {
    await server.stubs.publishBatch("orders", Array.from({ length: 5 }, () => ({ event: "order.created" })));
    const session = server.stubs.subscribe({ queue: "orders", subscriber: "s", stop: { $case: "stopAfterMessages", value: 3n } });
    await session.receive(3);
    await session.settle({ releases: [{ first: 2n, last: 0n, batchId: 0n }] });
    expect((await session.receive(1)).map(({ offset }) => offset)).to.deep.equal([2n]);
    await session.settle(ACK_ALL);
    expect((await session.ended).code).to.equal(Code.OK);
    expect(session.waiting).to.deep.equal([]);
    const next = server.stubs.subscribe({ queue: "orders", subscriber: "s" });
    expect((await next.receive(2)).map(({ offset }) => offset)).to.deep.equal([4n, 5n]);
  });
});
