import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { PeekMessagesRequest, PurgeQueueRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { PeekMessagesResponse, PurgeQueueResponse } from "../../generated/tidemark/v1/admin_service.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

describe("PurgeQueue of a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const purge = (parts: Partial<PurgeQueueRequest> = {}): Promise<PurgeQueueResponse> =>
    answer((callback) => server.stubs.admin.purgeQueue({ ...PurgeQueueRequest.create(), queue: "orders", ...parts }, callback));
  const publishMany = (count: number, parts = {}): Promise<unknown> =>
    server.stubs.publishBatch("orders", Array.from({ length: count }, (_, i) => ({ event: "order.created", body: payload(`m${i}`), ...parts })));
  const peekedOffsets = async (): Promise<bigint[]> => {
    const page = await answer<PeekMessagesResponse>((callback) => server.stubs.admin.peekMessages({ ...PeekMessagesRequest.create(), queue: "orders" }, callback));
    return page.messages.map(({ offset }) => offset);
  };

  for (const ordering of [Ordering.UNORDERED, Ordering.ORDERED]) {
    it(`stays done on an ${Ordering[ordering]} queue when the server is killed right after the answer`, async () => {
      await answer((callback) => server.stubs.admin.createQueue({ queue: { ...Queue.create(), name: "orders", ordering } }, callback));
      await publishMany(6, { orderingKey: "one" });
      const away = server.stubs.subscribe({ queue: "orders", subscriber: "away" });
      await away.next("opened");
      await away.cancel();
      const working = server.stubs.subscribe({ queue: "orders", subscriber: "working", flow: { maxMessages: 1, maxBytes: 0n, paused: false } });
      await working.receive(1);
      const { bytes } = await server.stubs.queue("orders");
      const counted = await purge({ throughOffset: 4n, dryRun: true });
      const purged = await purge({ throughOffset: 4n });
      await server.crash();
      expect(purged).to.deep.equal(counted);
      expect(purged).to.include({ purgedCount: 4n, throughOffset: 4n });
      expect(await server.stubs.queue("orders")).to.include({ firstOffset: 5n, headOffset: 6n, messageCount: 2n, bytes: bytes - purged.purgedBytes });
      expect(await peekedOffsets()).to.deep.equal([5n, 6n]);
      for (const subscriber of ["away", "working"]) {
        expect((await server.stubs.subscriber("orders", subscriber)).backlogCount, subscriber).to.equal(2n);
        const stream = server.stubs.subscribe({ queue: "orders", subscriber, maxInFlightPerLane: 5 });
        expect((await stream.next("gap")).lastOffset, subscriber).to.equal(4n);
        expect((await stream.receive(2)).map(({ offset }) => offset), subscriber).to.deep.equal([5n, 6n]);
        await stream.cancel();
      }
    });
  }

  it("tells a client that is behind, takes late acks, and goes on with what comes", async () => {
    await publishMany(4);
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "s", flow: { maxMessages: 2, maxBytes: 0n, paused: false } });
    await stream.receive(2);
    expect(await purge()).to.include({ purgedCount: 4n, throughOffset: 4n });
    expect(await stream.next("gap")).to.deep.equal({ firstOffset: 3n, lastOffset: 4n, matchingCount: 2n });
    expect((await stream.settle({ acks: [{ first: 1n, last: 2n, batchId: 1n }] })).failures).to.deep.equal([]);
    await publishMany(1);
    expect((await stream.receive(1)).map(({ offset }) => offset)).to.deep.equal([5n]);
    await stream.cancel();
  });

  it("is meant for one incarnation of a queue, and for messages that are there", async () => {
    await publishMany(2);
    const { queueId } = await server.stubs.queue("orders");
    expect(await refusal(purge({ throughOffset: 3n }))).to.deep.include({ code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD", metadata: { field: "through_offset", value: "3", limit: "1 to 2" } });
    expect(await refusal(purge({ queueId: "0".repeat(32) }))).to.include({ code: Code.FAILED_PRECONDITION, reason: "QUEUE_ID_MISMATCH" });
    expect(await purge({ queueId })).to.include({ purgedCount: 2n });
    expect(await purge({ queueId })).to.deep.equal({ purgedCount: 0n, purgedBytes: 0n, throughOffset: 2n });
  });
});
