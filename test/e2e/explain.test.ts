import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { AdminServiceService, ExplainMessageRequest, type ExplainMessageResponse, ExplainSubscriberRequest, type ExplainSubscriberResponse } from "../../generated/tidemark/v1/admin_service.js";
import { DeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { ExplainReason, type MessageExplanation, type SubscriberExplanation } from "../../generated/tidemark/v1/explanation.js";
import { WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { connect, type TidemarkClient } from "../../src/client/index.js";
import { CliRun, type Ended } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { rawUnary } from "../support/raw-calls.js";
import { startTestServer, type TestServer } from "../support/server.js";
import { answer, type Stubs } from "../support/stubs.js";

const WINDOW = { maxMessages: 3, maxBytes: 0n, paused: false };

describe("why a message does not come", function () {
  this.timeout(30_000);
  let server: TestServer;
  let stubs: Stubs;
  let client: TidemarkClient;

  before(async () => {
    server = await startTestServer();
    stubs = await server.connect();
    client = connect(server.address);
  });

  after(async () => {
    await client.close();
    await server.close();
  });

  async function explained(queue: string, offset: bigint, subscriber = ""): Promise<MessageExplanation[]> {
    const request = { queue, offset, subscriber };
    return (await answer<ExplainMessageResponse>((callback) => stubs.admin.explainMessage(request, callback))).explanations;
  }

  async function waiting(queue: string, subscriber: string): Promise<SubscriberExplanation | undefined> {
    return (await answer<ExplainSubscriberResponse>((callback) => stubs.admin.explainSubscriber({ queue, subscriber }, callback))).explanation;
  }

  const tidemark = (...args: string[]): Promise<Ended> => within(`tidemark ${args.join(" ")}`, 15_000, new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);

  it("is told of every subscriber: who has it, what it waits for, what became of it", async () => {
    const queue = "orders";
    for (let i = 0; i < 5; i++) await stubs.publish(queue, { event: "order.created" });
    const stream = stubs.subscribe({ queue, subscriber: "billing", clientId: "cashier-1", flow: WINDOW });
    const { sessionId } = await stream.next("opened");
    const held = await stream.receive(3);
    const [first] = held;
    const range = (offset: bigint): { first: bigint; last: bigint; batchId: bigint } => ({ first: offset, last: 0n, batchId: first?.batchId ?? 0n });
    await client.admin.createSubscriber(queue, "audit", { events: ["refund.*"] });

    const [audit, billing] = await explained(queue, 1n);
    expect(audit).to.deep.include({ subscriber: "audit", reason: ExplainReason.FILTERED, events: ["refund.*"], holder: undefined });
    expect(billing).to.deep.include({ subscriber: "billing", reason: ExplainReason.IN_FLIGHT, attempt: 1, deliveryCount: 1 });
    expect(billing?.holder).to.deep.include({ sessionId, clientId: "cashier-1", batchId: first?.batchId });
    expect(billing?.holder?.peer).to.match(/^127\.0\.0\.1:\d+$/);
    expect(Number(billing?.holder?.leaseLeft?.seconds)).to.be.within(50, 60);
    expect(billing?.sentence).to.match(/^Message 1 is in flight with cashier-1 at 127\.0\.0\.1:\d+ since .*, attempt 1, hand-out 1; \d+ s of the lease are left\.$/);
    const [full] = await explained(queue, 5n, "billing");
    expect(full).to.deep.include({ reason: ExplainReason.WINDOW_FULL, window: { messagesUsed: 3n, messagesAllowed: 3n, bytesUsed: full?.window?.bytesUsed ?? 0n, bytesAllowed: 8_388_608n } });

    stream.send({ $case: "ping", value: {} });
    expect((await stream.next("heartbeat")).waitingFor).to.equal(WaitingFor.FLOW);
    const subscriber = await waiting(queue, "billing");
    expect(subscriber).to.deep.include({ reasons: [ExplainReason.WINDOW_FULL, ExplainReason.IN_FLIGHT], headOffset: 5n, backlogCount: 2n, oldestUnsettledOffset: 1n });
    expect(subscriber?.clients.map(({ clientId, waitingFor }) => [clientId, waitingFor])).to.deep.equal([["cashier-1", WaitingFor.FLOW]]);
    expect(subscriber?.oldest?.reason).to.equal(ExplainReason.IN_FLIGHT);

    await stream.settle({ acks: [range(1n)], rejects: [{ range: range(2n), reason: "bad" }], retries: [{ range: range(3n), delay: { seconds: 600n, nanos: 0 }, reason: "busy" }] });
    const reasons = await Promise.all([1n, 2n, 3n, 9n].map(async (offset) => (await explained(queue, offset, "billing"))[0]?.reason));
    expect(reasons).to.deep.equal([ExplainReason.SETTLED, ExplainReason.DEAD_LETTERED, ExplainReason.WAITING_FOR_RETRY, ExplainReason.NOT_YET_STORED]);
    expect((await explained(queue, 2n, "billing"))[0]).to.include({ deadLetterReason: DeadLetterReason.REJECTED, lastReason: "bad" });
    expect((await explained(queue, 9n, "billing"))[0]?.headOffset).to.equal(5n);
    await stream.cancel();
    await until("it has gone", 5_000, async () => (await explained(queue, 4n, "billing"))[0]?.reason === ExplainReason.NO_CLIENT);
    expect((await stubs.subscriber(queue, "billing")).oldestUnsettledTime).to.not.equal(undefined);
  });

  it("is said by tidemark explain and by the client, as sentences and as facts", async () => {
    const queue = "told";
    await stubs.publish(queue, { event: "a" });
    await client.admin.createSubscriber(queue, "billing", { paused: true });
    await client.admin.createSubscriber(queue, "audit", { events: ["b"] });
    const rows = (text: string): Record<string, unknown>[] => text.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    const all = await tidemark("explain", queue);
    expect(rows(all.out).map(({ subscriber, reasons, sentence }) => [subscriber, reasons, sentence])).to.deep.equal([
      ["audit", ["NO_CLIENT"], "Subscriber audit: nobody is connected (no message is left to deliver)."],
      ["billing", ["SUBSCRIBER_PAUSED", "NO_CLIENT"], "Subscriber billing: an operator paused it; nobody is connected (1 left to deliver, the oldest unsettled one is 1)."],
    ]);
    const one = await tidemark("explain", queue, "1", "--subscriber", "billing");
    expect(rows(one.out)).to.deep.equal([{ queue, offset: 1, subscriber: "billing", reason: "SUBSCRIBER_PAUSED", sentence: "Message 1 waits: an operator paused it." }]);
    const [told] = await client.admin.explainMessage(queue, 1, "audit");
    expect(told).to.deep.include({ reason: "FILTERED", events: ["b"], holder: undefined, attempt: undefined });
    expect(await client.admin.explainSubscriber(queue, "billing")).to.deep.include({ reasons: ["SUBSCRIBER_PAUSED", "NO_CLIENT"], backlogCount: 1, headOffset: 1 });
    expect((await tidemark("explain", "none")).err).to.match(/there is no queue none.*"tidemark queue list"/);
    expect((await tidemark("explain", queue, "0")).err).to.match(/It must be a whole number from 1/);
    expect((await tidemark("explain", queue, "1", "--subscriber", "nobody")).err).to.match(/has no subscriber nobody/);
    await stubs.publish("alone", { event: "a" });
    expect(await tidemark("explain", "alone", "1")).to.include({ code: 0, out: "", err: "queue alone has no subscriber, so nobody waits for message 1\n" });
  });

  const message = (parts: Partial<ExplainMessageRequest>): Buffer => Buffer.from(ExplainMessageRequest.encode({ ...ExplainMessageRequest.create(), queue: "told", offset: 1n, ...parts }).finish());
  const subscriber = (parts: Partial<ExplainSubscriberRequest>): Buffer => Buffer.from(ExplainSubscriberRequest.encode({ ...ExplainSubscriberRequest.create(), queue: "told", ...parts }).finish());
  for (const [what, method, request, code, reason, field] of [
    ["no queue", "explainMessage", message({ queue: "" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "queue"],
    ["offset 0", "explainMessage", message({ offset: 0n }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "offset"],
    ["a subscriber with a slash", "explainMessage", message({ subscriber: "a/b" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber"],
    ["a queue that is not there", "explainMessage", message({ queue: "none" }), Code.NOT_FOUND, "QUEUE_NOT_FOUND", undefined],
    ["a subscriber that is not there", "explainMessage", message({ subscriber: "nobody" }), Code.NOT_FOUND, "SUBSCRIBER_NOT_FOUND", undefined],
    ["no subscriber", "explainSubscriber", subscriber({}), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber"],
    ["another subscriber that is not there", "explainSubscriber", subscriber({ subscriber: "nobody" }), Code.NOT_FOUND, "SUBSCRIBER_NOT_FOUND", undefined],
    ["bytes that are no request", "explainSubscriber", Buffer.from([0xff]), Code.INVALID_ARGUMENT, "UNDECODABLE", undefined],
  ] as const) {
    it(`is refused for ${what}`, async () => {
      const refused = await rawUnary(stubs.admin, AdminServiceService[method].path, request);
      expect([refused.code, refused.reason, refused.metadata["field"]]).to.deep.equal([code, reason, field]);
    });
  }

  it("takes an offset beyond 2^53 for one that is not stored yet", async () => {
    expect((await explained("told", 2n ** 60n, "audit"))[0]?.reason).to.equal(ExplainReason.NOT_YET_STORED);
  });
});
