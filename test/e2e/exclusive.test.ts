import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import type { ListClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { DeliveryCause, type OpenSession, Settlement, Sharing, WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { until } from "../support/condition.js";
import { callEnd } from "../support/raw-calls.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { answer, Stubs } from "../support/stubs.js";
import type { ReceivedMessage, SubscribeStream } from "../support/subscribe-stream.js";

const offsets = (messages: readonly ReceivedMessage[]): bigint[] => messages.map(({ offset }) => offset);
const EXCLUSIVE = { queue: "orders", subscriber: "ledger", sharing: Sharing.EXCLUSIVE } as const;

for (const ordering of [Ordering.UNORDERED, Ordering.ORDERED]) {
  describe(`an exclusive subscriber of ${ordering === Ordering.ORDERED ? "an ordered" : "an unordered"} queue`, () => {
    let server: TestServer;
    let stubs: Stubs;

    beforeEach(async () => {
      server = await startTestServer();
      stubs = await server.connect();
      await answer((callback) => stubs.admin.createQueue({ queue: Queue.fromPartial({ name: "orders", ordering }) }, callback));
    });

    afterEach(async () => {
      await server.close();
    });

    const open = (part: Partial<OpenSession> = {}): SubscribeStream => stubs.subscribe({ ...EXCLUSIVE, maxInFlightPerLane: 100, ...part });
    const publish = (count: number): Promise<unknown> => stubs.publishBatch("orders", Array.from({ length: count }, () => ({ event: "order.created" })));

    const listed = (): Promise<ListClientsResponse> =>
      answer((callback) => stubs.admin.listClients({ queue: "orders", subscriber: "ledger", pageSize: 10, pageToken: "" }, callback));
    const nobodyLeft = (): Promise<unknown> => until("the server has heard of the end", 5_000, async () => (await listed()).clients.length === 0);

    it("has one session that works; the oldest that stands by takes over when it dies", async () => {
      const worker = open({ clientId: "one" });
      expect((await worker.next("opened")).standby).to.equal(false);
      const second = open({ clientId: "two" });
      expect((await second.next("opened")).standby).to.equal(true);
      const third = open({ clientId: "three" });
      expect((await third.next("opened")).standby).to.equal(true);
      await publish(3);
      const held = await worker.receive(3);
      await worker.ack(held.slice(0, 1));
      second.send({ $case: "ping", value: {} });
      expect((await second.next("heartbeat")).waitingFor).to.equal(WaitingFor.STANDBY);
      const { clients } = await listed();
      expect(clients.map(({ clientId, sharing, standby }) => [clientId, sharing, standby])).to.have.deep.members([
        ["one", Sharing.EXCLUSIVE, false],
        ["two", Sharing.EXCLUSIVE, true],
        ["three", Sharing.EXCLUSIVE, true],
      ]);
      await worker.cancel();
      const again = await second.receive(2);
      expect(offsets(again)).to.deep.equal([2n, 3n]);
      expect(again[0]).to.include({ deliveryCount: 2, cause: DeliveryCause.DISCONNECT });
      expect(third.waiting).to.deep.equal([]);
      await second.ack(again);
      expect((await second.halfClose()).code).to.equal(Code.OK);
      await publish(1);
      expect(offsets(await third.receive(1))).to.deep.equal([4n]);
    });

    it("ends a session that stands by when it half-closes, and leaves the one that works alone", async () => {
      const worker = open();
      await worker.next("opened");
      const standby = open();
      await standby.next("opened");
      expect((await standby.halfClose()).code).to.equal(Code.OK);
      await publish(1);
      await worker.ack(await worker.receive(1));
    });

    it("refuses a session that would share, and says how the others are open", async () => {
      const worker = open();
      await worker.next("opened");
      const end = callEnd(await open({ sharing: Sharing.SHARED }).ended);
      expect(end).to.include({ code: Code.FAILED_PRECONDITION, reason: "SHARING_MISMATCH" });
      expect(end.metadata).to.deep.equal({ field: "open.sharing", value: "SHARING_SHARED", open: "SHARING_EXCLUSIVE" });
      await worker.cancel();
      await nobodyLeft();
      await open({ sharing: Sharing.SHARED }).next("opened");
    });

    it("takes the word of a client for its position, and refuses one that has forgotten", async () => {
      const { queueId } = await stubs.queue("orders");
      await publish(6);
      const first = open({ queueId, processedThrough: 4n });
      expect(await first.next("opened")).to.include({ created: true, committedOffset: 4n, backlogCount: 2n });
      expect(offsets(await first.receive(2))).to.deep.equal([5n, 6n]);
      await first.cancel();
      await nobodyLeft();
      const behind = callEnd(await open({ queueId, processedThrough: 3n }).ended);
      expect(behind, behind.details).to.include({ code: Code.FAILED_PRECONDITION, reason: "CLIENT_BEHIND" });
      expect(behind.metadata).to.include({ field: "open.processed_through", value: "3", settled_through: "4", committed_offset: "4" });
      const beyond = callEnd(await open({ queueId, processedThrough: 7n }).ended);
      expect(beyond).to.include({ code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD" });
      expect(beyond.metadata).to.include({ limit: "0 to 6" });
      const next = open({ queueId, processedThrough: 5n });
      expect((await next.next("opened")).committedOffset).to.equal(5n);
      expect(offsets(await next.receive(1))).to.deep.equal([6n]);
    });

    it("replaces the client's own half-dead session, and settles what was done in it", async () => {
      const first = open();
      const { sessionId } = await first.next("opened");
      await publish(4);
      await first.receive(4);
      const second = open({ replacesSessionId: sessionId, done: [{ first: 1n, last: 2n }] });
      expect(callEnd(await first.ended)).to.include({ code: Code.ABORTED, reason: "REPLACED" });
      expect((await second.next("opened")).standby).to.equal(false);
      const again = await second.receive(2);
      expect(offsets(again)).to.deep.equal([3n, 4n]);
      await second.ack(again);
      expect((await stubs.subscriber("orders", "ledger")).committedOffset).to.equal(4n);
    });

    it("leaves the session of another subscriber alone, whoever names it", async () => {
      const other = stubs.subscribe({ queue: "orders", subscriber: "other" });
      const { sessionId } = await other.next("opened");
      const end = callEnd(await open({ replacesSessionId: sessionId }).ended);
      expect(end).to.include({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
      expect(end.metadata).to.include({ field: "open.replaces_session_id" });
      await publish(1);
      await other.ack(await other.receive(1));
    });
  });
}

describe("what a client says at open", () => {
  it("is on disk when it hears opened: it survives a kill", async () => {
    const data = await temporaryDataDir();
    let server = await ServerProcess.start({ dataDir: data.path });
    let stubs = new Stubs(server.address);
    try {
      await stubs.ready();
      await stubs.publishBatch("orders", Array.from({ length: 6 }, () => ({ event: "order.created" })));
      const { queueId } = await stubs.queue("orders");
      const flow = { maxMessages: 0, maxBytes: 0n, paused: true };
      const ledger = stubs.subscribe({ ...EXCLUSIVE, flow, queueId, processedThrough: 4n });
      const worker = stubs.subscribe({ queue: "orders", subscriber: "worker", flow, done: [{ first: 2n, last: 0n }, { first: 4n, last: 5n }] });
      await Promise.all([ledger.next("opened"), worker.next("opened")]);
      stubs.close();
      await server.kill();
      server = await ServerProcess.start({ dataDir: data.path });
      stubs = new Stubs(server.address);
      await stubs.ready();
      expect((await stubs.subscriber("orders", "ledger")).committedOffset).to.equal(4n);
      expect(offsets(await stubs.subscribe({ queue: "orders", subscriber: "worker" }).receive(3))).to.deep.equal([1n, 3n, 6n]);
      expect(offsets(await stubs.subscribe(EXCLUSIVE).receive(2))).to.deep.equal([5n, 6n]);
    } finally {
      stubs.close();
      await server.kill();
      await data.remove();
    }
  }).timeout(60_000);

  it("is taken before the first delivery, however the client then settles", async () => {
    const server = await startTestServer();
    try {
      const stubs = await server.connect();
      await stubs.publishBatch("orders", Array.from({ length: 5 }, () => ({ event: "order.created" })));
      const session = stubs.subscribe({ queue: "orders", subscriber: "worker", done: [{ first: 2n, last: 4n }] });
      expect(offsets(await session.receive(2))).to.deep.equal([1n, 5n]);
      const { failures, committedOffset } = await session.settle({ ...Settlement.create(), acks: [{ first: 1n, last: 5n, batchId: 1n }] });
      expect(failures).to.deep.equal([]);
      expect(committedOffset).to.equal(5n);
    } finally {
      await server.close();
    }
  });
});
