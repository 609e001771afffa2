import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { Metadata, status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { ClientKind } from "../../generated/tidemark/v1/client.js";
import { ListClientsRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { ListClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { Message } from "../../generated/tidemark/v1/message.js";
import { PullRequest } from "../../generated/tidemark/v1/pull.js";
import type { PullResponse } from "../../generated/tidemark/v1/pull.js";
import { DeliveryCause, SettleFailureCode, Sharing, WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { until } from "../support/condition.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";
import type { Stubs } from "../support/stubs.js";

const DEADLINE_MS = 10_000;
const BILLING = { queue: "orders", subscriber: "billing" };

const seconds = (n: number) => ({ seconds: BigInt(n), nanos: 0 });
const range = (first: bigint, last = 0n) => ({ first, last, batchId: 0n });
const messagesOf = ({ batches }: PullResponse): Message[] => batches.flatMap(({ messages }) => messages);
const offsetsOf = (pulled: PullResponse): bigint[] => messagesOf(pulled).map(({ offset }) => offset);
const sessionOf = ({ opened }: PullResponse): string => opened?.sessionId ?? "";
const publish = (stubs: Stubs, count: number): Promise<unknown> => stubs.publishBatch("orders", Array.from({ length: count }, (_, i) => ({ event: "order.created", body: payload(`n${i}`) })));
const clients = (stubs: Stubs): Promise<ListClientsResponse> => answer((callback) => stubs.admin.listClients({ ...ListClientsRequest.create(), queue: "orders" }, callback));

describe("Pull and Settle", () => {
  let server: TestServer;
  let first: Stubs;
  let second: Stubs;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    first = await server.connect();
    second = await server.connect();
  });

  afterEach(async () => {
    await server.close();
  });

  it("lease messages to one terminal and settle them from another", async () => {
    await publish(first, 3);
    const pulled = await first.pull({ ...BILLING, maxMessages: 2, clientId: "cron" });
    expect(messagesOf(pulled).map((message) => message.payload.toString())).to.deep.equal(["n0", "n1"]);
    expect(pulled.opened).to.deep.include({ created: true, headOffset: 3n, backlogCount: 1n, ackTimeout: seconds(60), heartbeat: undefined });
    expect(pulled.batches[0]?.lease).to.deep.equal(seconds(60));
    const { clients: there } = await clients(second);
    expect(there).to.have.length(1);
    expect(there[0]).to.deep.include({ sessionId: sessionOf(pulled), clientId: "cron", kind: ClientKind.PULL, inFlightCount: 2n });
    const result = await second.settle(sessionOf(pulled), { acks: [range(1n, 2n)] });
    expect(result).to.deep.include({ requestIds: [], failures: [], committedOffset: 2n });
    expect(offsetsOf(await second.pull(BILLING))).to.deep.equal([3n]);
  });

  it("take retries, rejects and releases, and say of each failure why", async () => {
    await publish(first, 4);
    const pulled = await first.pull(BILLING);
    const id = sessionOf(pulled);
    const { failures } = await first.settle(id, {
      acks: [range(1n)],
      retries: [{ range: range(2n), delay: seconds(0), reason: "later" }],
      rejects: [{ range: range(3n), reason: "broken" }],
      releases: [range(4n), range(9n)],
    });
    expect(failures.map(({ requestId, range: failed, code }) => [requestId, failed?.first, code])).to.deep.equal([[0n, 9n, SettleFailureCode.NOT_HELD]]);
    const again = await first.pull({ ...BILLING, sessionId: id });
    const byOffset = new Map(again.batches.flatMap(({ messages, attempt, cause, lastReason }) => messages.map(({ offset }) => [offset, [attempt, cause, lastReason]] as const)));
    expect(byOffset).to.deep.equal(new Map([[2n, [2, DeliveryCause.RETRY, "later"]], [4n, [1, DeliveryCause.RELEASED, ""]]]));
    expect((await first.subscriber("orders", "billing")).deadLetterCount).to.equal(1n);
    expect((await first.settle(id, { acks: [range(2n), range(4n)] })).failures).to.deep.equal([]);
    expect((await first.settle(id, { acks: [range(2n), range(4n)] })).failures, "the same again").to.deep.equal([]);
  });

  it("settle what a stream holds, which goes on and gets more", async () => {
    await publish(first, 3);
    const stream = first.subscribe({ ...BILLING, flow: { maxMessages: 1, maxBytes: 0n, paused: false } });
    const { sessionId } = await stream.next("opened");
    await stream.receive(1);
    expect((await second.settle(sessionId, { acks: [range(1n)] })).failures).to.deep.equal([]);
    expect((await stream.receive(1)).map(({ offset }) => offset)).to.deep.equal([2n]);
    expect((await stream.settle({ acks: [range(2n)] })).failures).to.deep.equal([]);
    await stream.receive(1);
    await stream.cancel();
    const error = await second.settle(sessionId, { acks: [range(3n)] }).catch((reason: unknown) => reason);
    expect(error).to.include({ code: Code.NOT_FOUND });
  });

  it("show payloads as text when asked to", async () => {
    await publish(first, 1);
    expect(messagesOf(await first.pull({ ...BILLING, textView: true }))[0]?.text).to.equal("n0");
  });

  it("wait for a message, and answer as soon as it is there", async () => {
    const waiting = first.pull({ ...BILLING, wait: seconds(30) });
    await until("the pull waits", DEADLINE_MS, async () => (await clients(second)).clients.length === 1);
    await publish(second, 1);
    expect(offsetsOf(await waiting)).to.deep.equal([1n]);
  });

  it("lease nothing to a caller that cancelled while it waited", async () => {
    const call = first.broker.pull({ ...PullRequest.create(), ...BILLING, wait: seconds(30) }, () => undefined);
    await until("the pull waits", DEADLINE_MS, async () => (await clients(second)).clients.length === 1);
    call.cancel();
    await until("its session is gone", DEADLINE_MS, async () => (await clients(second)).clients.length === 0);
    await publish(second, 1);
    const pulled = await second.pull(BILLING);
    expect(pulled.batches.map(({ cause, deliveryCount }) => [cause, deliveryCount])).to.deep.equal([[DeliveryCause.NEW, 1]]);
  });

  it("lease nothing to a caller whose deadline passed while it waited, or whose connection broke", async () => {
    const late = await new Promise<number | undefined>((resolve) => {
      first.broker.pull({ ...PullRequest.create(), ...BILLING, wait: seconds(30) }, new Metadata(), { deadline: Date.now() + 200 }, (error) => {
        resolve(error?.code);
      });
    });
    expect(late).to.equal(Code.DEADLINE_EXCEEDED);
    const { session } = pullUnread(server.address, { ...PullRequest.create(), ...BILLING, wait: seconds(30) });
    await until("the pull waits", DEADLINE_MS, async () => (await clients(second)).clients.length === 1);
    session.destroy();
    await until("its session is gone", DEADLINE_MS, async () => (await clients(second)).clients.length === 0);
    await publish(second, 1);
    expect((await second.pull(BILLING)).batches[0]?.deliveryCount).to.equal(1);
  });

  it("take back an answer that the transport had not taken whole when its caller went, as if it had not been handed out", async () => {
    const large = Array.from({ length: 3 }, () => ({ event: "order.created", body: { $case: "payload", value: Buffer.alloc(900_000) } as const }));
    for (const message of large) await first.publish("orders", message);
    const { session, stream } = pullUnread(server.address, { ...PullRequest.create(), ...BILLING, maxBytes: 3_000_000n });
    await until("they are handed out", DEADLINE_MS, async () => ((await first.subscriber("orders", "billing").catch(() => undefined))?.inFlightCount ?? 0n) > 0n);
    await until("it is answered", DEADLINE_MS, async () => (await clients(second)).clients[0]?.waitingFor === WaitingFor.PAUSED);
    stream.close(8);
    await until("nothing is in flight", DEADLINE_MS, async () => (await first.subscriber("orders", "billing")).inFlightCount === 0n);
    session.close();
    const pulled = await first.pull({ ...BILLING, maxBytes: 3_000_000n });
    expect(offsetsOf(pulled)[0]).to.equal(1n);
    for (const batch of pulled.batches) expect(batch).to.include({ cause: DeliveryCause.NEW, deliveryCount: 1 });
  });

  it("fit what gRPC clients receive by default, however much is asked for", async () => {
    for (let i = 0; i < 5; i++) await first.publish("orders", { event: "order.created", body: { $case: "payload", value: Buffer.alloc(1_000_000) } });
    const offsets: bigint[] = [];
    while (offsets.length < 5) {
      const came = offsetsOf(await first.pull({ ...BILLING, maxBytes: 100_000_000n, wait: seconds(5) }));
      expect(came.length).to.be.within(1, 3);
      offsets.push(...came);
    }
    expect(offsets).to.deep.equal([1n, 2n, 3n, 4n, 5n]);
  });

  it("end an exclusive subscriber's misunderstanding with words", async () => {
    const stream = first.subscribe({ ...BILLING, sharing: Sharing.EXCLUSIVE });
    await stream.next("opened");
    const error = await second.pull(BILLING).catch((reason: unknown) => reason);
    expect(error).to.include({ code: Code.FAILED_PRECONDITION });
    await stream.cancel();
  });

  it("hand out one message of a lane at a time, in order", async () => {
    await first.createOrderedQueue("orders");
    await first.publishBatch("orders", ["a", "a", "b"].map((orderingKey) => ({ event: "order.created", orderingKey })));
    const one = await first.pull(BILLING);
    expect(offsetsOf(one)).to.deep.equal([1n, 3n]);
    expect(offsetsOf(await second.pull(BILLING))).to.deep.equal([]);
    await second.settle(sessionOf(one), { retries: [{ range: range(1n), delay: seconds(0), reason: "" }] });
    expect(offsetsOf(await second.pull(BILLING))).to.deep.equal([1n]);
  });

  it("free what was not settled when the lease ran out", async () => {
    await publish(first, 1);
    const pulled = await first.pull({ ...BILLING, ackTimeout: { seconds: 0n, nanos: 100_000_000 } });
    const again = await second.pull({ ...BILLING, wait: seconds(10) });
    expect(again.batches.map(({ cause, deliveryCount }) => [cause, deliveryCount])).to.deep.equal([[DeliveryCause.TIMEOUT, 2]]);
    const { failures } = await first.settle(sessionOf(pulled), { acks: [range(1n)] });
    expect(failures.map(({ code }) => code)).to.deep.equal([SettleFailureCode.LEASE_LOST]);
  });
});

describe("Pull and Settle on a server that restarts", () => {
  let server: StoredServer;

  before(async () => {
    server = await StoredServer.start();
  });

  after(async () => {
    await server.remove();
  });

  it("keep what was settled, and hand out again what was not, uncounted", async () => {
    await publish(server.stubs, 3);
    const pulled = await server.stubs.pull(BILLING);
    expect((await server.stubs.settle(sessionOf(pulled), { acks: [range(1n)], retries: [{ range: range(2n), delay: seconds(0), reason: "busy" }] })).failures).to.deep.equal([]);
    await server.crash();
    const error = await server.stubs.settle(sessionOf(pulled), { acks: [range(3n)] }).catch((reason: unknown) => reason);
    expect(error).to.include({ code: Code.NOT_FOUND });
    const again = await server.stubs.pull({ ...BILLING, wait: seconds(5) });
    expect(again.batches.map(({ messages, attempt, deliveryCount }) => [messages.map(({ offset }) => offset), attempt, deliveryCount])).to.deep.equal([[[2n], 2, 1], [[3n], 1, 1]]);
    expect((await server.stubs.settle(sessionOf(again), { acks: [range(2n, 3n)] })).committedOffset).to.equal(3n);
    await server.restart();
    expect((await server.stubs.pull(BILLING)).batches).to.deep.equal([]);
  });

  it("are told to go elsewhere while it stops, and what they held goes back", async () => {
    await publish(server.stubs, 1);
    await server.stubs.pull(BILLING);
    const { stubs } = server;
    const waiting = stubs.pull({ queue: "other", subscriber: "billing", wait: seconds(30) }).catch((reason: unknown) => reason);
    await until("it waits", DEADLINE_MS, async () => (await answer<ListClientsResponse>((callback) => stubs.admin.listClients({ ...ListClientsRequest.create(), queue: "other" }, callback))).clients.length === 1);
    const restarted = server.restart();
    expect(await waiting).to.include({ code: Code.UNAVAILABLE });
    await restarted;
    const again = await server.stubs.pull(BILLING);
    expect(again.batches.map(({ attempt, deliveryCount }) => [attempt, deliveryCount])).to.deep.equal([[1, 1]]);
  });
});

/** A Pull of a client that reads nothing of the answer. */
function pullUnread(address: string, request: PullRequest): { readonly session: ClientHttp2Session; readonly stream: ClientHttp2Stream } {
  const session = connectHttp2(`http://${address}`);
  const stream = session.request({ ":method": "POST", ":path": BrokerServiceService.pull.path, "content-type": "application/grpc", te: "trailers" });
  stream.pause();
  stream.on("error", () => undefined);
  const bytes = Buffer.from(PullRequest.encode(request).finish());
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  stream.end(Buffer.concat([head, bytes]));
  return { session, stream };
}
