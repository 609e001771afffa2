import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { AckMode, Settlement, SettleFailureCode, StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { answer } from "../support/stubs.js";
import type { Stubs } from "../support/stubs.js";

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
