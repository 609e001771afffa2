import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { CreateQueueRequest, ExplainMessageRequest, UpdateQueueRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { ExplainMessageResponse } from "../../generated/tidemark/v1/admin_service.js";
import { ExplainReason } from "../../generated/tidemark/v1/explanation.js";
import { PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import { Ordering, Queue, Retention, RetentionMode, WhenFull } from "../../generated/tidemark/v1/queue.js";
import { until } from "../support/condition.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

const DEADLINE_MS = 20_000;

describe("Retention of a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const create = (retention: Partial<Retention>, ordering = Ordering.UNORDERED): Promise<unknown> =>
    answer((callback) => server.stubs.admin.createQueue(CreateQueueRequest.create({ queue: { ...Queue.create(), name: "orders", ordering, retention: { ...Retention.create(), ...retention } } }), callback));
  const change = (retention: Partial<Retention>, updateMask: string[] = []): Promise<unknown> =>
    answer((callback) => server.stubs.admin.updateQueue(UpdateQueueRequest.create({ queue: { ...Queue.create(), name: "orders", retention: { ...Retention.create(), ...retention } }, updateMask }), callback));
  const publishMany = (count: number, parts = {}): Promise<unknown> =>
    server.stubs.publishBatch("orders", Array.from({ length: count }, (_, i) => ({ event: "order.created", body: payload(`m${i}`), ...parts })));
  const firstIs = (first: bigint): Promise<unknown> =>
    until(`the queue begins at ${first}`, DEADLINE_MS, async () => (await server.stubs.queue("orders")).firstOffset === first);
  const dropped = async (subscriber: string): Promise<bigint> => (await server.stubs.subscriber("orders", subscriber)).droppedCount;

  for (const ordering of [Ordering.UNORDERED, Ordering.ORDERED]) {
    it(`passes sleepers on an ${Ordering[ordering]} queue, who are told and count what they lost, through a kill and a restart`, async () => {
      await create({ mode: RetentionMode.LOG, maxMessages: 2n }, ordering);
      for (const [subscriber, events] of [["all", []], ["paid", ["order.paid"]]] as const) {
        const stream = server.stubs.subscribe({ queue: "orders", subscriber, events: [...events] });
        await stream.next("opened");
        await stream.cancel();
      }
      await publishMany(2, { orderingKey: "one" });
      await publishMany(2, { orderingKey: "one", event: "order.paid" });
      await firstIs(3n);
      await server.crash();
      expect(await server.stubs.queue("orders")).to.include({ firstOffset: 3n, headOffset: 4n, messageCount: 2n });
      expect([await dropped("all"), await dropped("paid")]).to.deep.equal([2n, 0n]);
      await publishMany(3, { orderingKey: "one" });
      await firstIs(6n);
      expect([await dropped("all"), await dropped("paid")]).to.deep.equal([5n, 2n]);
      const stream = server.stubs.subscribe({ queue: "orders", subscriber: "paid", events: ["order.paid"] });
      expect(await stream.next("gap")).to.include({ lastOffset: 5n, matchingCount: 2n });
      await stream.cancel();
      await server.restart();
      expect([await dropped("all"), await dropped("paid")]).to.deep.equal([5n, 2n]);
    });
  }

  it("tells a client that is behind in a gap, takes its late acks, and goes on with what is there", async () => {
    await create({ mode: RetentionMode.LOG });
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "s", flow: { maxMessages: 2, maxBytes: 0n, paused: false } });
    await stream.next("opened");
    await publishMany(6);
    await stream.receive(2);
    await change({ maxMessages: 2n }, ["retention.max_messages"]);
    expect(await stream.next("gap")).to.deep.equal({ firstOffset: 3n, lastOffset: 4n, matchingCount: 2n });
    expect((await stream.settle({ acks: [{ first: 1n, last: 2n, batchId: 1n }] })).failures).to.deep.equal([]);
    expect((await stream.receive(2)).map(({ offset }) => offset)).to.deep.equal([5n, 6n]);
    expect(await dropped("s")).to.equal(2n);
    const { explanations } = await answer<ExplainMessageResponse>((callback) => server.stubs.admin.explainMessage(ExplainMessageRequest.create({ queue: "orders", offset: 3n, subscriber: "s" }), callback));
    expect(explanations[0]).to.include({ reason: ExplainReason.DROPPED_BY_RETENTION, firstOffset: 5n });
    await stream.cancel();
  });

  it("drops what has grown too old, while the server runs and while it is down, though nobody asks for the queue", async () => {
    await create({ mode: RetentionMode.LOG, maxAge: { seconds: 1n, nanos: 0 } });
    await publishMany(3);
    await until("it is too old", DEADLINE_MS, async () => (await server.stubs.queue("orders")).messageCount === 0n);
    await change({ maxAge: { seconds: 3_600n, nanos: 0 } }, ["retention.max_age"]);
    await publishMany(2);
    await server.restart();
    expect(await server.stubs.queue("orders")).to.include({ firstOffset: 4n, messageCount: 2n });
    await change({ maxAge: { seconds: 1n, nanos: 0 } });
    await server.restart();
    await until("what was there before is too old", DEADLINE_MS, async () => (await server.stubs.queue("orders")).messageCount === 0n);
  });

  it("refuses what a full queue cannot take: a message, a batch, and on a stream the frame or each message", async () => {
    await create({ maxMessages: 3n });
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "s" });
    await stream.next("opened");
    await publishMany(2);
    const full = { code: Code.RESOURCE_EXHAUSTED, reason: "QUEUE_FULL", metadata: { queue: "orders", field: "max_messages", value: "2", limit: "3" } };
    expect(await refusal(publishMany(2))).to.deep.include(full);
    const frames = server.stubs.broker.publishStream();
    const results: PublishStreamResponse["results"] = [];
    frames.on("data", ({ results: some }: PublishStreamResponse) => results.push(...some));
    const message = { event: "order.created", body: payload("m") };
    for (const independent of [false, true]) frames.write(PublishStreamRequest.fromPartial({ requestId: independent ? 2n : 1n, queue: "orders", messages: [message, message], independent }));
    await until("both frames are answered", DEADLINE_MS, () => results.length === 2);
    expect(results[0]).to.deep.include({ requestId: 1n, code: Code.RESOURCE_EXHAUSTED, reason: "QUEUE_FULL", firstOffset: 0n });
    expect(results[1]).to.deep.include({ requestId: 2n, code: Code.OK, firstOffset: 3n });
    expect(results[1]?.outcomes).to.have.length(1);
    expect(results[1]?.outcomes[0]).to.deep.include({ index: 1, code: Code.RESOURCE_EXHAUSTED, reason: "QUEUE_FULL" });
    frames.end();
    expect(await refusal(server.stubs.publish("orders", message))).to.deep.include({ code: Code.RESOURCE_EXHAUSTED, reason: "QUEUE_FULL", metadata: { ...full.metadata, value: "3" } });
    await stream.receive(3);
    await stream.settle({ acks: [{ first: 1n, last: 2n, batchId: 0n }] });
    await until("there is room again", DEADLINE_MS, () => server.stubs.publish("orders", message).then(() => true, () => false));
    expect((await server.stubs.queue("orders")).headOffset).to.equal(4n);
    await stream.cancel();
  });

  it("refuses settings that cannot be, naming field, value and limit, and keeps what holds", async () => {
    const time = (seconds: bigint, nanos = 0): Partial<Retention> => ({ maxAge: { seconds, nanos } });
    const cases: readonly (readonly [retention: Partial<Retention>, field: string, value: string, limit: string])[] = [
      [{ mode: RetentionMode.UNRECOGNIZED }, "mode", "-1", "RETENTION_MODE_UNTIL_ACKED or RETENTION_MODE_LOG"],
      [{ whenFull: WhenFull.UNRECOGNIZED }, "when_full", "-1", "WHEN_FULL_DROP_OLDEST or WHEN_FULL_REJECT_NEW"],
      [time(0n), "max_age", "0 s and 0 ns", "1000 ms to 315360000000 ms"],
      [time(0n, 999_000_000), "max_age", "0 s and 999000000 ns", "1000 ms to 315360000000 ms"],
      [time(-5n), "max_age", "-5 s and 0 ns", "1000 ms to 315360000000 ms"],
      [time(315_360_001n), "max_age", "315360001 s and 0 ns", "1000 ms to 315360000000 ms"],
      [{ maxBytes: 2n ** 53n }, "max_bytes", "9007199254740992", "0 to 9007199254740991"],
      [{ maxMessages: 2n ** 64n - 1n }, "max_messages", "18446744073709551615", "0 to 9007199254740991"],
    ];
    await create({ mode: RetentionMode.LOG, maxMessages: 7n });
    for (const [retention, field, value, limit] of cases) {
      const metadata = { field: `queue.retention.${field}`, value, limit };
      expect(await refusal(create(retention)), field).to.deep.include({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD", metadata });
      expect(await refusal(change(retention, [`retention.${field}`])), field).to.deep.include({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD", metadata });
    }
    expect((await server.stubs.queue("orders")).retention).to.include({ mode: RetentionMode.LOG, maxMessages: 7n });
  });

  it("refuses a message that a queue could never keep as wrong, and one that does not fit into a full log as too much", async () => {
    await create({ mode: RetentionMode.LOG, maxBytes: 200n, whenFull: WhenFull.REJECT_NEW });
    expect(await refusal(server.stubs.publish("orders", { event: "a", body: payload("x".repeat(300)) }))).to.deep.include({ code: Code.INVALID_ARGUMENT, reason: "MESSAGE_TOO_LARGE" });
    await server.stubs.publish("orders", { event: "a", body: payload("x".repeat(120)) });
    expect(await refusal(server.stubs.publish("orders", { event: "a", body: payload("x".repeat(120)) }))).to.deep.include({ code: Code.RESOURCE_EXHAUSTED, reason: "LOG_FULL" });
  });
});
